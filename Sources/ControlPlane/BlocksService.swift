internal import Blocks
internal import ControlAPI
internal import Foundation
internal import GRPCCore
internal import SwiftProtobuf

/// larder.v1.Blocks: one block in, one block out, in pieces, each proved by its checksum before it counts.
struct BlocksService: Larder_V1_Blocks.SimpleServiceProtocol {
    let backend: any ControlBackend
    let values: RequestValues
    let transfers: TicketCounter
    let putBytes: TicketCounter

    func put(
        request: RPCAsyncSequence<Larder_V1_PutRequest, any Error>,
        context: ServerContext
    ) async throws -> Larder_V1_PutResponse {
        try await ControlCall.run(context) { call in
            let transfer = try transfer()
            defer { withExtendedLifetime(transfer) {} }
            var parts = request.makeAsyncIterator()
            guard case .header(let header)? = try await next(&parts, call)?.part else {
                throw ControlError(.invalidArgument, "the first message of a put is its header")
            }
            let put = try self.put(header, call)
            guard let room = putBytes.take(put.payloadByteCount) else {
                throw ControlError(
                    .resourceExhausted,
                    "the blocks being put have \(values.limits.putByteCountMax) bytes already; try again"
                )
            }
            defer { withExtendedLifetime(room) {} }
            let intake = try await backend.beginPut(put)
            try await receive(&parts, header, into: intake, call)
            let isNew = try await intake.commit(checksum: header.checksum)
            return .with { $0.outcome = isNew ? .stored : .exists }
        }
    }

    func get(
        request: Larder_V1_GetRequest,
        response: RPCWriter<Larder_V1_GetResponse>,
        context: ServerContext
    ) async throws {
        try await ControlCall.run(context) { call in
            let transfer = try transfer()
            defer { withExtendedLifetime(transfer) {} }
            let space = try values.space(request.namespaceID, of: call)
            guard let block = try await backend.get(space, key: values.key(request.key)) else {
                throw ControlError(.notFound, "no such block; Explain tells why")
            }
            let header = Larder_V1_GetHeader.with {
                $0.payloadBytes = UInt64(clamping: block.payloadByteCount)
                $0.checksum = block.checksum
                $0.tokens = block.tokenCount
            }
            try await call.waitingForClient { try await response.write(.with { $0.header = header }) }
            try await send(block, to: response, call)
        }
    }

    /// Writes the payload; its last piece only when the checksum is right.
    private func send(
        _ block: any BlockReading,
        to response: RPCWriter<Larder_V1_GetResponse>,
        _ call: ControlCall
    ) async throws {
        var checksum = PayloadChecksumStream()
        var first = 0
        while first < block.payloadByteCount {
            let end = min(first + values.limits.pieceByteCountMax, block.payloadByteCount)
            let piece = try await block.piece(first..<end)
            checksum.update(piece)
            if end == block.payloadByteCount, checksum.value() != block.checksum {
                await block.foundCorrupt()
                throw ControlError(
                    .dataLoss,
                    "the stored bytes failed their checksum and were removed; throw away what was received"
                )
            }
            first = end
            try await call.waitingForClient { try await response.write(.with { $0.piece = piece }) }
        }
    }

    /// Reads the pieces until all announced bytes are there and proved.
    private func receive(
        _ parts: inout RPCAsyncSequence<Larder_V1_PutRequest, any Error>.AsyncIterator,
        _ header: Larder_V1_PutHeader,
        into intake: any BlockIntake,
        _ call: ControlCall
    ) async throws {
        var checksum = PayloadChecksumStream()
        var received: UInt64 = 0
        while let part = try await next(&parts, call) {
            guard case .piece(let piece)? = part.part, !piece.isEmpty,
                piece.count <= values.limits.pieceByteCountMax
            else {
                throw ControlError(
                    .invalidArgument,
                    "after the header come pieces of 1 to \(values.limits.pieceByteCountMax) bytes"
                )
            }
            received += UInt64(piece.count)
            guard received <= header.payloadBytes else {
                throw ControlError(
                    .invalidArgument,
                    "more bytes came than the \(header.payloadBytes) that the header announced"
                )
            }
            checksum.update(piece)
            try intake.append(piece)
        }
        guard received == header.payloadBytes else {
            throw ControlError(
                .invalidArgument,
                "\(received) bytes came, not the \(header.payloadBytes) that the header announced; nothing was stored"
            )
        }
        guard checksum.value() == header.checksum else {
            throw ControlError(
                .dataLoss,
                "the payload does not have the announced XXH3; nothing was stored"
            )
        }
    }

    private func next(
        _ parts: inout RPCAsyncSequence<Larder_V1_PutRequest, any Error>.AsyncIterator,
        _ call: ControlCall
    ) async throws -> Larder_V1_PutRequest? {
        let part = try await call.waitingForClient { try await parts.next(isolation: #isolation) }
        // A cancelled call ends the sequence too: that is no end of the payload.
        try Task.checkCancellation()
        return part
    }

    private func put(_ header: Larder_V1_PutHeader, _ call: ControlCall) throws(ControlError) -> BlockPut {
        guard let byteCount = Int(exactly: header.payloadBytes),
            (1...Limits.payloadByteCountMax).contains(byteCount)
        else {
            throw ControlError(
                .invalidArgument,
                "a block has 1 to \(Limits.payloadByteCountMax) bytes, not \(header.payloadBytes)"
            )
        }
        guard header.timeToLiveMilliseconds <= Self.timeToLiveMillisecondsMax else {
            throw ControlError(
                .invalidArgument,
                "a time to live has at most \(Self.timeToLiveMillisecondsMax) milliseconds; 0 is without end"
            )
        }
        var put = BlockPut(
            space: try values.space(header.namespaceID, of: call),
            key: try values.key(header.key),
            payloadByteCount: byteCount
        )
        put.tokenCount = header.tokens
        if header.timeToLiveMilliseconds > 0 {
            put.timeToLive = .milliseconds(Int64(clamping: header.timeToLiveMilliseconds))
        }
        put.isPinned = header.pin
        put.isDurable = header.durable
        if !header.parentKey.isEmpty { put.predecessor = try values.key(header.parentKey) }
        return put
    }

    private func transfer() throws(ControlError) -> CountedTicket {
        guard let ticket = transfers.take() else {
            throw ControlError(
                .resourceExhausted,
                "this node moves \(values.limits.transferCountMax) blocks at a time over gRPC; try again"
            )
        }
        return ticket
    }

    /// A century: no sum with the time overflows.
    private static let timeToLiveMillisecondsMax: UInt64 = 100 * 366 * 86_400_000
}

extension PayloadChecksumStream {
    /// Adds the next piece.
    fileprivate mutating func update(_ piece: Data) {
        let bytes = piece.bytes
        // SAFETY: the bytes are read during the call only.
        unsafe bytes.withUnsafeBytes { unsafe update($0) }
    }
}
