public import ArgumentParser
public import LarderClient

extension ByteCount: ExpressibleByArgument {
    init?(argument: String) {
        self.init(argument)
    }

    var defaultValueDescription: String { exactText }
}

extension TimeSpan: ExpressibleByArgument {
    init?(argument: String) {
        self.init(argument)
    }
}

extension LarderEndpoint: ExpressibleByArgument {
    /// Reads an address as the command line writes it.
    public init?(argument: String) {
        self.init(argument)
    }
}
