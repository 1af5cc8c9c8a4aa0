package import Blocks

/// No cache at all: everything is computed, nothing is kept.
package struct NoExchange: BlockExchange {
    package init() {}

    package func match(_ keys: KeyBatch) async -> BlockMatch { .none }

    package func load(_ keys: KeyBatch, lease: UInt64?, into buffer: BlockBuffer) async -> Int { 0 }

    package func store(_ keys: KeyBatch, from buffer: BlockBuffer, tokenCount: Int) async -> StoreCount {
        StoreCount(refused: keys.count)
    }

    package func release(_ lease: UInt64) async {}
}
