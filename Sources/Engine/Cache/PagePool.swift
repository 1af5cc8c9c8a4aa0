internal import Synchronization

/// The pages an engine may use, at most a fixed number; sequences take pages and give them back.
final class PagePool: Sendable {
    let shape: KVPageShape
    private let pageCountMax: Int
    private let state = Mutex(State())

    private struct State {
        var free: [KVPage] = []
        var pageCount = 0
    }

    init(_ shape: KVPageShape, pageCountMax: Int) {
        self.shape = shape
        self.pageCountMax = pageCountMax
    }

    /// A page with whatever was last in it; throws `.contextExceeded` when all are in use.
    func take() throws(EngineError) -> KVPage {
        let page: KVPage? = state.withLock { state in
            if let page = state.free.popLast() { return page }
            guard state.pageCount < pageCountMax else { return nil }
            state.pageCount += 1
            return KVPage(shape)
        }
        guard let page else {
            throw EngineError(.contextExceeded, "all \(pageCountMax) pages of keys and values are in use")
        }
        return page
    }

    /// Makes pages ahead of time, so that no request pays for fresh memory.
    func prepare(_ count: Int) throws(EngineError) {
        var pages: [KVPage] = []
        defer { giveBack(pages) }
        for _ in 0..<count { pages.append(try take()) }
    }

    /// Takes pages back.
    func giveBack(_ pages: [KVPage]) {
        state.withLock { $0.free.append(contentsOf: pages) }
    }
}
