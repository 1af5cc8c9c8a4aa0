internal import Blocks
internal import ControlAPI
internal import GRPCCore
internal import SwiftProtobuf

extension ControlService {
    func describeNamespace(
        request: Larder_V1_DescribeNamespaceRequest,
        context: ServerContext
    ) async throws -> Larder_V1_DescribeNamespaceResponse {
        try await ControlCall.run(context) { call in
            let description: NamespaceDescription
            do throws(CacheError) {
                description = try NamespaceDescription(json: Array(request.json.utf8))
            } catch {
                throw ControlError(error)
            }
            try await backend.describe(
                description,
                for: call.caller.tenant,
                mayRegister: call.caller.permissions.contains(.write)
            )
            return .with { $0.namespace = Larder_V1_Namespace(description) }
        }
    }

    func listNamespaces(
        request: Larder_V1_ListNamespacesRequest,
        context: ServerContext
    ) async throws -> Larder_V1_ListNamespacesResponse {
        try await ControlCall.run(context) { call in
            let known = try await backend.descriptions(of: call.caller.tenant)
            return .with { response in
                response.namespace = known.map(Larder_V1_Namespace.init).sorted { $0.id < $1.id }
            }
        }
    }

    func stats(request: Larder_V1_StatsRequest, context: ServerContext) async throws
        -> Larder_V1_StatsResponse
    {
        try await ControlCall.run(context) { call in
            var space: SpaceName?
            if !request.namespaceID.isEmpty {
                space = try values.space(request.namespaceID, of: call)
            } else if !call.caller.permissions.contains(.operator) {
                throw ControlError(
                    .permissionDenied,
                    "figures of the whole node need the scope operator; give a namespace_id for those of a namespace"
                )
            }
            let figures = try await backend.figures(of: space)
            return .with { $0.figure = figures.map { Larder_V1_Figure($0.name, $0.value) } }
        }
    }

    func clusterView(
        request: Larder_V1_ClusterViewRequest,
        context: ServerContext
    ) async throws -> Larder_V1_ClusterViewResponse {
        try await ControlCall.run(context) { _ in
            let view = try await backend.clusterView()
            return .with { response in
                response.epoch = view.epoch
                response.member = view.members.map(Larder_V1_Member.init)
            }
        }
    }

    func drain(
        request: Larder_V1_DrainRequest,
        response: RPCWriter<Larder_V1_DrainProgress>,
        context: ServerContext
    ) async throws {
        try await ControlCall.run(context) { call in
            try await backend.drain(node: request.nodeName.isEmpty ? nil : request.nodeName) { step in
                let message = Larder_V1_DrainProgress(step)
                try await call.waitingForClient { try await response.write(message) }
            }
        }
    }
}
