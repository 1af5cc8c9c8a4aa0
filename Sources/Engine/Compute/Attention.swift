/// Grouped-query attention over paged keys and values.
///
/// A task takes one key head and a tile of tokens: scores against every page, softmax per row over positions
/// 0...t in two passes, then the weighted sum of values page after page. Each row's chains of additions run over
/// positions in ascending order and are cut at position t exactly, so a row does not depend on its neighbours, on
/// where the prompt was split, or on what later pages hold.
struct Attention {
    private let configuration: ModelConfiguration
    private let variant: KernelVariant
    private let team: ThreadTeam
    /// Rows of one tile: tokens times query heads of a group.
    private let tileTokenCount: Int

    init(_ configuration: ModelConfiguration, team: ThreadTeam, variant: KernelVariant) {
        self.configuration = configuration
        self.team = team
        self.variant = variant
        tileTokenCount = max(1, 48 / configuration.groupSize)
    }

    /// Attends from `rowCount` consecutive tokens, whose own keys and values are already in the pages.
    ///
    /// - Parameters:
    ///   - queries: a row per token; the first columns are its query heads, turned by the rotary embedding.
    ///   - rowCount: number of tokens.
    ///   - firstToken: the position of the first.
    ///   - pages: the sequence's pages.
    ///   - layer: the decoder layer.
    ///   - destination: a row per token, its heads' results side by side.
    func attend(
        _ queries: FloatMatrix,
        rowCount: Int,
        firstToken: Int,
        pages: [KVPage],
        layer: Int,
        into destination: FloatMatrix
    ) {
        precondition(rowCount <= min(queries.rowCount, destination.rowCount))
        precondition(queries.columnCount >= configuration.querySize)
        precondition(destination.columnCount == configuration.querySize)
        precondition(firstToken + rowCount <= pages.count * KVPage.tokenCount)
        let tileCount = roundedUp(rowCount, to: tileTokenCount) / tileTokenCount
        let headCount = configuration.keyValueHeadCount
        team.perform(tileCount * headCount) { index, _ in
            // The last tiles have the longest rows: they go first.
            let (tile, head) = (tileCount * headCount - 1 - index).quotientAndRemainder(dividingBy: headCount)
            let rows = tile * tileTokenCount..<min(rowCount, (tile + 1) * tileTokenCount)
            attend(queries, rows: rows, firstToken: firstToken, head: head, pages: pages, layer: layer, destination)
        }
    }

    private func attend(
        _ queries: FloatMatrix,
        rows: Range<Int>,
        firstToken: Int,
        head: Int,
        pages: [KVPage],
        layer: Int,
        _ destination: FloatMatrix
    ) {
        let group = configuration.groupSize
        let pageCount = roundedUp(firstToken + rows.upperBound, to: KVPage.tokenCount) / KVPage.tokenCount
        let tile = Tile(
            queries: gather(queries, rows: rows, head: head),
            scores: FloatMatrix(rowCount: rows.count * group, columnCount: pageCount * KVPage.tokenCount),
            results: FloatMatrix(rowCount: rows.count * group, columnCount: configuration.headSize)
        )
        for page in 0..<pageCount {
            // SAFETY: keys of a head are headSize times 16 floats; a row of scores has 16 for every page.
            unsafe variant.multiply(
                rows: tile.queries.row(0),
                rowStride: tile.queries.rowStride,
                rowCount: tile.queries.rowCount,
                depth: configuration.headSize,
                panels: pages[page].keys(layer: layer, head: head),
                panelStride: 0,
                panelCount: 1,
                into: tile.scores.row(0) + page * KVPage.tokenCount,
                destinationStride: tile.scores.rowStride,
                accumulates: false
            )
        }
        // Positions before the page of the tile's first token are seen by every row of the tile.
        let sharedPageCount = (firstToken + rows.lowerBound + 1) / KVPage.tokenCount
        let sums = (0..<rows.count * group)
            .map { row in
                let visibleCount = firstToken + rows.lowerBound + row / group + 1
                return unsafe variant.exponentiate(tile.scores.row(row), count: visibleCount)
            }
        for page in 0..<sharedPageCount {
            add(pages[page], tokenCount: KVPage.tokenCount, to: tile, rows: 0..<tile.results.rowCount, page, layer, head)
        }
        for (offset, row) in rows.enumerated() {
            let ownRows = offset * group..<(offset + 1) * group
            for page in sharedPageCount..<pageCount {
                let visibleCount = min(KVPage.tokenCount, firstToken + row + 1 - page * KVPage.tokenCount)
                guard visibleCount > 0 else { break }
                add(pages[page], tokenCount: visibleCount, to: tile, rows: ownRows, page, layer, head)
            }
        }
        scatter(tile.results, sums: sums, rows: rows, head: head, into: destination)
    }

    /// results (+)= scores of one page's first `tokenCount` tokens times their values.
    private func add(
        _ page: KVPage,
        tokenCount: Int,
        to tile: Tile,
        rows: Range<Int>,
        _ pageIndex: Int,
        _ layer: Int,
        _ head: Int
    ) {
        // SAFETY: a head's values are whole panels of 16 tokens times 16 elements, as wide as a padded row of results.
        unsafe variant.multiply(
            rows: tile.scores.row(rows.lowerBound) + pageIndex * KVPage.tokenCount,
            rowStride: tile.scores.rowStride,
            rowCount: rows.count,
            depth: tokenCount,
            panels: page.values(layer: layer, head: head),
            panelStride: KVPage.tokenCount * KernelVariant.panelWidth,
            panelCount: tile.results.rowStride / KernelVariant.panelWidth,
            into: tile.results.row(rows.lowerBound),
            destinationStride: tile.results.rowStride,
            accumulates: pageIndex > 0
        )
    }

    /// The tile's query heads, one row each, scaled by 1 / sqrt(head size).
    private func gather(_ queries: FloatMatrix, rows: Range<Int>, head: Int) -> FloatMatrix {
        let (group, headSize) = (configuration.groupSize, configuration.headSize)
        let scale = 1 / Float(headSize).squareRoot()
        let tile = FloatMatrix(rowCount: rows.count * group, columnCount: headSize)
        for (offset, row) in rows.enumerated() {
            for member in 0..<group {
                // SAFETY: a row of queries has all query heads.
                let source = unsafe queries.row(row) + (head * group + member) * headSize
                let target = unsafe tile.row(offset * group + member)
                for element in 0..<headSize { unsafe target[element] = source[element] * scale }
            }
        }
        return tile
    }

    /// Divides by the sums of the exponentials and puts the heads' results into their tokens' rows.
    private func scatter(
        _ results: FloatMatrix,
        sums: [Float],
        rows: Range<Int>,
        head: Int,
        into destination: FloatMatrix
    ) {
        let (group, headSize) = (configuration.groupSize, configuration.headSize)
        for (offset, row) in rows.enumerated() {
            for member in 0..<group {
                let scale = 1 / sums[offset * group + member]
                // SAFETY: a row of the destination has all query heads.
                let source = unsafe results.row(offset * group + member)
                let target = unsafe destination.row(row) + (head * group + member) * headSize
                for element in 0..<headSize { unsafe target[element] = source[element] * scale }
            }
        }
    }

    private struct Tile {
        let queries: FloatMatrix
        let scores: FloatMatrix
        let results: FloatMatrix
    }
}
