/// What was asked of a cache, request by request: the chain of blocks of each.
package struct Trace: Sendable {
    /// Blocks of all requests in their order, numbered from 0 by first appearance.
    package private(set) var blocks: [UInt32] = []
    /// Where each request's blocks begin, and the end of the last.
    private var bounds = [0]
    private var numbers: [UInt64: UInt32] = [:]
    /// The name of each block, by its number.
    package private(set) var names: [UInt64] = []

    /// Nothing was asked.
    package init() {}

    /// Adds a request by the names of its blocks, first block first.
    package mutating func append(_ names: some Sequence<UInt64>) {
        for name in names {
            let next = UInt32(truncatingIfNeeded: numbers.count)
            let number = numbers[name] ?? next
            if number == next {
                numbers[name] = next
                self.names.append(name)
            }
            blocks.append(number)
        }
        bounds.append(blocks.count)
    }

    /// Requests.
    package var requestCount: Int { bounds.count - 1 }

    /// Different blocks.
    package var uniqueBlockCount: Int { numbers.count }

    /// The places in `blocks` of a request's chain.
    package func range(of request: Int) -> Range<Int> { bounds[request]..<bounds[request + 1] }

    /// Some of the requests, as a trace of their own.
    package func slice(_ requests: some Sequence<Int>) -> Trace {
        var slice = Trace()
        for request in requests { slice.append(blocks[range(of: request)].lazy.map { names[Int($0)] }) }
        return slice
    }
}
