internal import Blocks

/// The keys and values of one sequence: a table of pages, filled from the front.
final class PagedCache {
    let layout: KVLayout
    private let pool: PagePool
    /// The sequence's pages in order; all tokens of a page but the last are set.
    private(set) var pages: [KVPage] = []
    /// Tokens whose keys and values are there.
    private(set) var tokenCount = 0

    init(_ layout: KVLayout, pool: PagePool) {
        self.layout = layout
        self.pool = pool
    }

    deinit { pool.giveBack(pages) }

    /// Takes pages for `count` more tokens; all or none.
    func reserve(_ count: Int) throws(EngineError) {
        let needed = roundedUp(tokenCount + count, to: KVPage.tokenCount) / KVPage.tokenCount - pages.count
        guard needed > 0 else { return }
        var taken: [KVPage] = []
        do throws(EngineError) {
            for _ in 0..<needed { taken.append(try pool.take()) }
        } catch {
            pool.giveBack(taken)
            throw error
        }
        pages += taken
    }

    /// Declares the next `count` reserved tokens as set in all layers.
    func advance(_ count: Int) {
        precondition(tokenCount + count <= pages.count * KVPage.tokenCount)
        tokenCount += count
    }

    /// Fills the next blocks from bytes in the block layout, one block after another.
    ///
    /// - Parameters:
    ///   - bytes: a whole number of blocks.
    ///   - team: the threads that share the work.
    /// - Throws: `.invalidBlock` for another length, or when the tokens so far do not end at a block's end.
    func importBlocks(_ bytes: UnsafeRawBufferPointer, team: ThreadTeam) throws(EngineError) {
        let (count, rest) = bytes.count.quotientAndRemainder(dividingBy: layout.blockByteCount)
        guard rest == 0 else {
            throw EngineError(
                .invalidBlock,
                "\(bytes.count) bytes are no whole number of blocks of \(layout.blockByteCount) bytes"
            )
        }
        guard tokenCount.isMultiple(of: layout.tokensPerBlock) else {
            throw EngineError(.invalidBlock, "\(tokenCount) tokens do not end with a whole block")
        }
        try reserve(count * layout.tokensPerBlock)
        let firstToken = tokenCount
        let source = unsafe BlockMemory(bytes)
        team.perform(count * layout.layerCount) { [pages, layout] index, _ in
            let (block, layer) = index.quotientAndRemainder(dividingBy: layout.layerCount)
            // SAFETY: the block lies inside the bytes, whose length was checked.
            let memory = unsafe source.block(block, byteCount: layout.blockByteCount)
            let first = firstToken + block * layout.tokensPerBlock
            unsafe Self.read(memory, layer: layer, firstToken: first, layout, layout.elementType.element, into: pages)
        }
        advance(count * layout.tokensPerBlock)
    }

    /// Writes block `index` of this sequence in the block layout.
    ///
    /// - Throws: `.invalidBlock` when the destination is not one block long or the block is not wholly computed.
    func exportBlock(_ index: Int, into destination: UnsafeMutableRawBufferPointer) throws(EngineError) {
        guard destination.count == layout.blockByteCount else {
            throw EngineError(
                .invalidBlock,
                "a block has \(layout.blockByteCount) bytes, its destination \(destination.count)"
            )
        }
        guard index >= 0, index < tokenCount / layout.tokensPerBlock else {
            throw EngineError(.invalidBlock, "block \(index) is not computed; there are \(tokenCount) tokens")
        }
        for layer in 0..<layout.layerCount {
            unsafe write(layer: layer, of: index, layout.elementType.element, into: destination)
        }
    }

    private static func read<Element: KVElement>(
        _ block: UnsafeRawBufferPointer,
        layer: Int,
        firstToken: Int,
        _ layout: KVLayout,
        _ element: Element.Type,
        into pages: [KVPage]
    ) {
        let step = MemoryLayout<Element.Bits>.size
        for token in 0..<layout.tokensPerBlock {
            let keys = layout.byteOffset(layer: layer, isValue: false, token: token)
            let values = layout.byteOffset(layer: layer, isValue: true, token: token)
            let (page, lane) = (firstToken + token).quotientAndRemainder(dividingBy: KVPage.tokenCount)
            // SAFETY: the layout's offsets lie inside a block's bytes.
            let load = { (offset: Int) in
                unsafe Element.value(of: Element.Bits(littleEndian: block.loadUnaligned(fromByteOffset: offset, as: Element.Bits.self)))
            }
            pages[page]
                .set(layer: layer, token: lane, key: { load(keys + $0 * step) }, value: { load(values + $0 * step) })
        }
    }

    private func write<Element: KVElement>(
        layer: Int,
        of block: Int,
        _ element: Element.Type,
        into destination: UnsafeMutableRawBufferPointer
    ) {
        let step = MemoryLayout<Element.Bits>.size
        for token in 0..<layout.tokensPerBlock {
            let keys = layout.byteOffset(layer: layer, isValue: false, token: token)
            let values = layout.byteOffset(layer: layer, isValue: true, token: token)
            let (page, lane) = (block * layout.tokensPerBlock + token)
                .quotientAndRemainder(dividingBy: KVPage.tokenCount)
            pages[page]
                .forEach(layer: layer, token: lane) { index, key, value in
                    // SAFETY: the layout's offsets lie inside a block's bytes.
                    unsafe destination.storeBytes(
                        of: Element.bits(of: key).littleEndian,
                        toByteOffset: keys + index * step,
                        as: Element.Bits.self
                    )
                    unsafe destination.storeBytes(
                        of: Element.bits(of: value).littleEndian,
                        toByteOffset: values + index * step,
                        as: Element.Bits.self
                    )
                }
        }
    }
}

/// Bytes that the tasks of one step read; the caller keeps them alive until the step has ended.
@safe
private struct BlockMemory: @unchecked Sendable {
    private let bytes: UnsafeRawBufferPointer

    init(_ bytes: UnsafeRawBufferPointer) { unsafe self.bytes = bytes }

    func block(_ index: Int, byteCount: Int) -> UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(rebasing: bytes[index * byteCount..<(index + 1) * byteCount])
    }
}
