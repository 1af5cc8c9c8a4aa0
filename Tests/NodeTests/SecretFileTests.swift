import Blocks
import Foundation
import TestSupport
import Testing
import Tiering

@testable import Node

@Suite("Files of the node's own")
struct SecretFileTests {
    private func mode(_ path: String) -> mode_t {
        var status = stat()
        return unsafe lstat(path, &status) == 0 ? status.st_mode : 0
    }

    @Test("the secret is not written where somebody's symbolic link points")
    func plantedLink() throws {
        let directory = try TemporaryDirectory()
        let victim = "\(directory.path)/victim"
        try "before".write(toFile: victim, atomically: true, encoding: .utf8)
        unsafe _ = chmod(victim, 0o644)
        let data = "\(directory.path)/data"
        try FileManager.default.createDirectory(atPath: data, withIntermediateDirectories: true)
        unsafe _ = symlink(victim, "\(data)/secret.new")
        let made = try SecretFile(in: data)
        #expect(try String(contentsOfFile: victim, encoding: .utf8) == "before")
        #expect(mode("\(data)/secret") & S_IFMT == S_IFREG)
        #expect(mode("\(data)/secret") & 0o777 == 0o600)
        #expect(try SecretFile(in: data).secret.bytes == made.secret.bytes)
    }

    @Test("a secret that is a symbolic link is refused, and the error says what to do")
    func linkedSecret() throws {
        let directory = try TemporaryDirectory()
        unsafe _ = symlink("/dev/null", "\(directory.path)/secret")
        let error = #expect(throws: CacheError.self) { _ = try SecretFile(in: directory.path) }
        #expect(error?.message.contains("symbolic link") == true)
    }

    @Test(
        "the secret has mode 0600 whatever the process's mask is, and a directory open to others is told of"
    )
    func modes() throws {
        let directory = try TemporaryDirectory()
        #expect(try SecretFile(in: directory.path).warnings.isEmpty)
        unsafe _ = chmod("\(directory.path)/secret", 0o640)
        unsafe _ = chmod(directory.path, 0o770)
        let warnings = try SecretFile(in: directory.path).warnings
        #expect(warnings.count == 2)
        #expect(warnings.first?.contains("chmod 700") == true)
        #expect(warnings.last?.contains("chmod 600") == true)
        unsafe _ = chmod(directory.path, 0o700)
    }

    @Test("a users file or a cluster's secret that others can read is told of")
    func readableFiles() throws {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/users"
        try "x".write(toFile: path, atomically: true, encoding: .utf8)
        unsafe _ = chmod(path, 0o600)
        var configuration = NodeConfiguration()
        configuration.warnIfOthersReach("the users file", path)
        #expect(configuration.warnings.isEmpty)
        unsafe _ = chmod(path, 0o644)
        configuration.warnIfOthersReach("the users file", path)
        #expect(configuration.warnings.first?.contains("chmod 600") == true)
    }
}
