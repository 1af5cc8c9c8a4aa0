/// The version of this program.
enum Version {
    /// As `larder --version` prints it.
    static let text = "0.1.0"
}
