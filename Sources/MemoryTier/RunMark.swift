/// Names one run of a node, by chance: 16 bytes that no other run has.
///
/// A memory file is taken back only by the run that follows the one that wrote it, with no run in between that did not
/// use the file: that one may have deleted or replaced what the file still holds.
package struct RunMark: Hashable, Sendable {
    /// The bytes, as two words.
    package let words: SIMD2<UInt64>

    /// Wraps stored words.
    package init(words: SIMD2<UInt64>) {
        self.words = words
    }

    /// A mark that nobody has had.
    package static func random() -> RunMark {
        var generator = SystemRandomNumberGenerator()
        return RunMark(words: SIMD2(generator.next(), generator.next()))
    }

    /// What a file says that no run has written.
    static let none = RunMark(words: .zero)
}
