import Blocks
import CRocksDB
import Glibc

/// Destroys the handles of families that nobody uses any more, on a thread of its own: that is when RocksDB
/// unlinks the files of a dropped segment, tens of milliseconds for 256 MiB, which no reader or writer should
/// pay.
final class FamilyGraveyard: Sendable {
    /// A handle that nobody uses, with what keeps its database open.
    @safe
    struct Grave: @unchecked Sendable {
        // SAFETY: the last owner's, handed over; destroyed once.
        let handle: OpaquePointer
        let database: RocksDatabase
        /// Bytes that come free with it.
        let byteCount: Int
    }

    private struct State {
        var graves: [Grave] = []
        var releasingByteCount = 0
        /// Whether a handle is being destroyed.
        var isBusy = false
        var isClosed = false
        var isFinished = false
    }

    private let state = Monitor(State())

    init() throws(CacheError) {
        try startThread { [state] in Self.run(state) }
    }

    deinit { close() }

    /// Bytes of dropped segments whose files are still there.
    var releasingByteCount: Int { state.withLock { $0.releasingByteCount } }

    /// Announces that a family's files will go when its last reader leaves.
    func expect(byteCount: Int) { state.withLock { $0.releasingByteCount += byteCount } }

    /// Takes a handle over.
    ///
    /// After `close` it is destroyed at once, by the caller's thread.
    func bury(_ grave: Grave) {
        let isTaken = state.withLock(signals: true) { state in
            if !state.isFinished { state.graves.append(grave) }
            return !state.isFinished
        }
        if !isTaken { Self.destroy(grave) }
    }

    /// Waits until at most `byteCount` bytes are still to be released; `false` when that took too long.
    func waitUntilReleasing(atMost byteCount: Int, seconds: Int) -> Bool {
        state.wait(seconds: seconds) { $0.releasingByteCount <= byteCount ? true : nil } ?? false
    }

    /// Ends the thread after what it has.
    func close() {
        state.withLock(signals: true) { $0.isClosed = true }
        state.wait { $0.isFinished ? () : nil }
    }

    /// Waits until every handle that was handed over is destroyed, and nothing here keeps a database open.
    ///
    /// `false` when that took too long.
    func waitUntilIdle(seconds: Int) -> Bool {
        state.wait(seconds: seconds) { $0.graves.isEmpty && !$0.isBusy ? true : nil } ?? false
    }

    private static func run(_ state: Monitor<State>) {
        while let byteCount = destroyNext(state) {
            state.withLock(signals: true) { state in
                state.isBusy = false
                state.releasingByteCount -= byteCount
            }
        }
        state.withLock(signals: true) { _ in }
    }

    /// Waits for a handle and destroys it.
    ///
    /// Gives the bytes that came free, `nil` at the end. Nothing keeps the handle's database open any more then.
    private static func destroyNext(_ state: Monitor<State>) -> Int? {
        let next: Grave? = state.wait { state in
            if let grave = state.graves.popLast() {
                state.isBusy = true
                return .some(.some(grave))
            }
            guard state.isClosed else { return nil }
            state.isFinished = true
            return .some(.none)
        }
        guard let grave = next else { return nil }
        destroy(grave)
        return grave.byteCount
    }

    private static func destroy(_ grave: Grave) {
        unsafe rocksdb_column_family_handle_destroy(grave.handle)
    }
}
