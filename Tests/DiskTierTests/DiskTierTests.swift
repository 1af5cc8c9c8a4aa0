import Blocks
import DiskTier
import TestSupport
import Testing

@Suite("Disk tier")
struct DiskTierTests {
    @Test("an empty tier holds nothing")
    func empty() throws {
        let directory = try TemporaryDirectory()
        let tier = try DiskTier.open(
            DiskTierConfiguration(directory: directory.path, byteCountMax: 64 << 20),
            clock: VirtualClock()
        )
        #expect(tier.openReport.blockCount == 0)
        tier.close()
    }
}
