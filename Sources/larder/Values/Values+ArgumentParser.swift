internal import ArgumentParser

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

extension NodeAddress: ExpressibleByArgument {
    init?(argument: String) {
        self.init(argument)
    }
}
