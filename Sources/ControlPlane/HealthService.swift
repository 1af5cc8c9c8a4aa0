internal import ControlAPI
internal import GRPCCore
internal import SwiftProtobuf

/// grpc.health.v1: open to everyone, as probes and load balancers have no passwords.
struct HealthService: Grpc_Health_V1_Health.SimpleServiceProtocol {
    let board: HealthBoard
    let services: Set<String>

    func check(
        request: Grpc_Health_V1_HealthCheckRequest,
        context: ServerContext
    ) async throws -> Grpc_Health_V1_HealthCheckResponse {
        guard services.contains(request.service) else {
            throw ControlError(
                .notFound,
                "no such service here; there are \(services.sorted().joined(separator: ", "))"
            )
        }
        let status = board.status
        return .with { $0.status = status == .serving ? .serving : .notServing }
    }

    func watch(
        request: Grpc_Health_V1_HealthCheckRequest,
        response: RPCWriter<Grpc_Health_V1_HealthCheckResponse>,
        context: ServerContext
    ) async throws {
        try await ControlCall.run(context) { call in
            var told: Grpc_Health_V1_HealthCheckResponse.ServingStatus?
            for await status in board.changes() {
                var new: Grpc_Health_V1_HealthCheckResponse.ServingStatus = .serviceUnknown
                if services.contains(request.service) { new = status == .serving ? .serving : .notServing }
                guard new != told else { continue }
                told = new
                try await call.waitingForClient { [new] in try await response.write(.with { $0.status = new })
                }
            }
        }
    }
}
