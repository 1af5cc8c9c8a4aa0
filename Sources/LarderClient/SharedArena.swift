internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#endif

/// A node's memory as this process sees it: for reading, and for writing where the node gives places.
@safe
final class SharedArena: Sendable {
    // SAFETY: the mapping stays until deinit; only who was given a place writes there.
    nonisolated(unsafe) private let bytes: UnsafeMutableRawBufferPointer
    fileprivate let identity: Identity

    /// Whether places may be written.
    var isWritable: Bool { identity.isWritable }

    /// Which memory it is, whatever descriptor it came by.
    fileprivate struct Identity: Hashable {
        let device: dev_t
        let inode: ino_t
        let isWritable: Bool
    }

    /// Maps what a node passed; `nil` when that is less than it said, or the system refuses.
    fileprivate init?(_ descriptor: Int32, byteCount: Int, identity: Identity) {
        // SAFETY: the kernel chooses the address; the result is checked against MAP_FAILED before use.
        let protection = identity.isWritable ? PROT_READ | PROT_WRITE : PROT_READ
        let address = unsafe mmap(nil, byteCount, protection, MAP_SHARED, descriptor, 0)
        guard let address = unsafe address, unsafe address != UnsafeMutableRawPointer(bitPattern: -1) else {
            return nil
        }
        unsafe bytes = UnsafeMutableRawBufferPointer(start: address, count: byteCount)
        self.identity = identity
    }

    deinit {
        // SAFETY: the mapping was made in init; whoever reads it keeps this object.
        unsafe _ = munmap(bytes.baseAddress, bytes.count)
    }

    /// Part of it; `nil` when it does not lie inside.
    func part(offset: Int, byteCount: Int) -> UnsafeRawBufferPointer? {
        unsafe range(offset, byteCount).map { unsafe UnsafeRawBufferPointer(rebasing: bytes[$0]) }
    }

    /// A place that the node has given, to be written; `nil` when it does not lie inside or nothing may be written.
    func place(offset: Int, byteCount: Int) -> UnsafeMutableRawBufferPointer? {
        guard isWritable else { return nil }
        return unsafe range(offset, byteCount).map {
            unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[$0])
        }
    }

    private func range(_ offset: Int, _ byteCount: Int) -> Range<Int>? {
        let end = unsafe bytes.count
        guard offset >= 0, byteCount > 0, offset <= end, byteCount <= end - offset else { return nil }
        return offset..<(offset + byteCount)
    }
}

/// The arena that a client's connections share: mapped once, however many connections are given it.
final class SharedArenaTable: Sendable {
    private final class Place { weak var arena: SharedArena? }
    private let place = Mutex(Place())

    /// Maps what a node passed, or finds it mapped; closes the descriptor.
    func map(_ descriptor: Int32, byteCount: Int, isWritable: Bool) -> SharedArena? {
        defer { close(descriptor) }
        var status = stat()
        // A length that the file does not have would make reads end the process.
        guard unsafe fstat(descriptor, &status) == 0, byteCount > 0, status.st_size >= byteCount,
            isSealed(descriptor)
        else { return nil }
        let identity = SharedArena.Identity(
            device: status.st_dev,
            inode: status.st_ino,
            isWritable: isWritable
        )
        return place.withLock { place in
            if let arena = place.arena, arena.identity == identity { return arena }
            let arena = SharedArena(descriptor, byteCount: byteCount, identity: identity)
            place.arena = arena
            return arena
        }
    }

    /// Whether nobody can take pages away from under a reader.
    private func isSealed(_ descriptor: Int32) -> Bool {
        let seals = fcntl(descriptor, Self.getSeals)
        return seals >= 0 && seals & Self.shrinkSeal != 0
    }

    /// F_GET_SEALS and F_SEAL_SHRINK of Linux.
    private static let getSeals: Int32 = 1034
    private static let shrinkSeal: Int32 = 2
}

/// What a connection may read in place, for as long as it is up.
final class Attachment: Sendable {
    let arena: SharedArena
    private let isUp = Atomic(true)

    init(_ arena: SharedArena) {
        self.arena = arena
    }

    /// Whether loans of this connection still hold.
    var isLive: Bool { isUp.load(ordering: .acquiring) }

    /// The connection is lost: the node may use the memory for other blocks.
    func end() { isUp.store(false, ordering: .releasing) }
}
