internal import Blocks

#if canImport(Glibc)
    internal import Glibc
#endif

/// Measures the disk below a directory with one file that it removes again.
enum DiskProbe {
    /// Writes `byteCount` bytes, syncs, reads them back, and times 20 small writes with a sync each.
    static func measure(directory: String, byteCount: Int) throws(CommandFailure) -> DiskSpeed {
        let path = "\(directory)/.larder-doctor-\(getpid())"
        // SAFETY: the path is lent as a terminated text during the call.
        let descriptor = unsafe open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure(directory) }
        defer {
            close(descriptor)
            // SAFETY: the path is lent as a terminated text during the call.
            _ = unsafe unlink(path)
        }
        let piece = incompressible(4 << 20)
        let pieceCount = max(1, byteCount / piece.count)
        let write = try seconds(directory) {
            for index in 0..<pieceCount where put(piece, at: index * piece.count, descriptor) != piece.count {
                return false
            }
            return fsync(descriptor) == 0
        }
        posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED)
        let read = try seconds(directory) {
            var buffer = [UInt8](repeating: 0, count: piece.count)
            for index in 0..<pieceCount where get(&buffer, at: index * piece.count, descriptor) != piece.count
            {
                return false
            }
            return true
        }
        var syncs: [Double] = []
        for index in 0..<20 {
            let page = Array(piece[(index * 4_096)..<((index + 1) * 4_096)])
            syncs.append(
                try seconds(directory) {
                    put(page, at: index * 65_536, descriptor) == page.count && fdatasync(descriptor) == 0
                }
            )
        }
        let total = Double(pieceCount * piece.count)
        return DiskSpeed(
            write: total / write,
            read: total / read,
            syncSeconds: syncs.sorted()[syncs.count / 2]
        )
    }

    private static func seconds(_ directory: String, _ work: () -> Bool) throws(CommandFailure) -> Double {
        let clock = SystemClock()
        let start = clock.monotonicNanoseconds()
        guard work() else { throw failure(directory) }
        return max(1e-9, Double(clock.monotonicNanoseconds() - start) / 1e9)
    }

    private static func put(_ bytes: [UInt8], at offset: Int, _ descriptor: Int32) -> Int {
        // SAFETY: pwrite reads at most the array's bytes, which live during the call.
        unsafe bytes.withUnsafeBytes { unsafe pwrite(descriptor, $0.baseAddress, $0.count, off_t(offset)) }
    }

    private static func get(_ bytes: inout [UInt8], at offset: Int, _ descriptor: Int32) -> Int {
        // SAFETY: pread writes at most the array's bytes, which live during the call.
        unsafe bytes.withUnsafeMutableBytes {
            unsafe pread(descriptor, $0.baseAddress, $0.count, off_t(offset))
        }
    }

    /// Bytes that no disk or file system can shrink.
    private static func incompressible(_ count: Int) -> [UInt8] {
        var state: UInt64 = 0x9e37_79b9_7f4a_7c15
        return (0..<count).map { _ in
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return UInt8(truncatingIfNeeded: state >> 32)
        }
    }

    private static func failure(_ directory: String) -> CommandFailure {
        CommandFailure(.inputOutput, "\(directory): \(SystemMessage.text(errno))")
    }
}
