import Blocks
import Glibc

/// The parts of a tier while it is being opened: the directory is locked, the database opened or set aside,
/// the index rebuilt, the durable mark compared.
struct DiskTierOpening {
    let configuration: DiskTierConfiguration
    let clock: any CacheClock
    let directory: DataDirectory
    let lock: DirectoryLock
    let graveyard: FamilyGraveyard
    let mark: DurableMark
    let index = BlockIndex()
    private(set) var options: RocksOptions
    private(set) var database: RocksDatabase
    private(set) var segments: SegmentTable
    private(set) var writeState: WriteState
    private(set) var report = DiskOpenReport()

    init(_ configuration: DiskTierConfiguration, clock: any CacheClock) throws(CacheError) {
        let start = clock.monotonicNanoseconds()
        guard configuration.byteCountMax >= DiskTierConfiguration.byteCountMaxLowest,
            configuration.unitByteCount > 0, configuration.segmentByteCount > 0,
            (1...DiskTierConfiguration.blockCountMaxHighest).contains(configuration.blockCountMax)
        else {
            throw CacheError(
                .invalidArgument,
                "the disk budget must be at least \(DiskTierConfiguration.byteCountMaxLowest) bytes, "
                    + "with 1 to \(DiskTierConfiguration.blockCountMaxHighest) blocks"
            )
        }
        self.configuration = configuration
        self.clock = clock
        directory = try DataDirectory(creating: configuration.directory)
        lock = try DirectoryLock(path: directory.lockPath, directory: directory.path)
        graveyard = try FamilyGraveyard()
        mark = try DurableMark(path: directory.markPath, directory: directory.path)

        let opened = try Self.openDatabase(
            in: directory,
            configuration: configuration,
            graveyard: graveyard,
            unixSeconds: clock.unixMilliseconds() / 1_000
        )
        options = opened.options
        database = opened.database
        report.setAsidePath = opened.setAsidePath
        report.setAsideReason = opened.setAsideReason
        report.readsDirectly = opened.options.isDirect
        directory.removeLeftovers()

        let found = Self.segments(of: opened.families, in: opened.database)
        segments = SegmentTable(found)
        let jobs = segments.all.flatMap { segment in
            segment.units.map { IndexReplay.Job(unit: $0, segment: segment) }
        }
        let replay = try IndexReplay(jobs, into: index, from: opened.database).run()
        let unitNumbers = jobs.map(\.unit.number)

        let missing = Self.missing(mark.contents.units, from: unitNumbers)
        let distrustedBefore = Self.distrustedBefore(
            mark.contents,
            isLost: { missing.contains($0) || replay.damagedUnits.contains($0) }
        )
        report.distrustedBlocks = index.removeHidden(
            clears: replay.clears,
            distrustedBefore: distrustedBefore,
            at: clock.unixMilliseconds()
        )
        report.missingDurableUnits = missing.count
        try mark.update { contents in
            contents.remove(missing)
            for number in unitNumbers {
                // A unit that the mark does not know yet can only be the newest.
                contents.add(number, hides: number == unitNumbers.last && !replay.echoes.isEmpty)
            }
            contents.distrustedBefore = distrustedBefore
            contents.nextSegment = max(contents.nextSegment, (found.map(\.number).max() ?? 0) + 1)
        }
        writeState = WriteState(nextUnit: mark.contents.nextUnit, echoes: replay.echoes)

        report.damagedUnits = replay.damagedUnits.count
        report.blockCount = index.count
        report.byteCount = segments.byteCount
        report.segmentCount = found.count
        report.unitCount = unitNumbers.count
        report.seconds = Double(clock.monotonicNanoseconds() - start) / 1e9
    }

    /// A database that was opened, with what it took.
    struct Opened {
        var options: RocksOptions
        var database: RocksDatabase
        var families: [String: RocksFamily]
        var setAsidePath: String?
        var setAsideReason: String?
    }

    /// Opens the database of `directory` or makes one; sets one aside that cannot be used.
    static func openDatabase(
        in directory: DataDirectory,
        configuration: DiskTierConfiguration,
        graveyard: FamilyGraveyard,
        unixSeconds: UInt64
    ) throws(CacheError) -> Opened {
        func attempt(creates: Bool) throws(CacheError) -> Opened {
            let options = RocksOptions(
                readsDirectly: directory.acceptsDirectReads,
                creates: creates,
                manifestByteCountMax: max(256 << 10, configuration.reservedByteCount / 4),
                openFileCountMax: openFileCountMax
            )
            let (database, families) = try RocksDatabase.open(
                path: directory.blocksPath,
                options: options,
                graveyard: graveyard
            )
            return Opened(options: options, database: database, families: families)
        }
        let reason: String
        switch try directory.prepareBlocks() {
        case .empty: return try attempt(creates: true)
        case .foreign(let why): reason = why
        case .present:
            do throws(CacheError) {
                return try attempt(creates: false)
            } catch {
                // A full, read-only or forbidden disk says nothing about the database: leave it where it is.
                guard !isEnvironmental(error) else { throw error }
                reason = error.message
            }
        }
        let path = try directory.setBlocksAside(unixSeconds: unixSeconds)
        _ = try directory.prepareBlocks()
        var opened = try attempt(creates: true)
        opened.setAsidePath = path
        opened.setAsideReason = reason
        return opened
    }

    /// Whether the system, not the data, refused: RocksDB gives its errors as text only, with the system's
    /// words.
    private static func isEnvironmental(_ error: CacheError) -> Bool {
        [ENOSPC, EROFS, EACCES, EPERM, EMFILE, ENFILE, ENOMEM, EDQUOT, EIO, EAGAIN, ENOLCK]
            .contains { error.message.contains(SystemError($0).description) }
    }

    /// All tables are kept open where the process may have that many files; else RocksDB keeps what fits.
    private static var openFileCountMax: Int32 {
        var limit = rlimit()
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 512 }
        return limit.rlim_cur >= 16_384 ? -1 : max(64, Int32(clamping: limit.rlim_cur / 2))
    }

    /// The segments that a database has, with their units.
    static func segments(of families: [String: RocksFamily], in database: RocksDatabase) -> [Segment] {
        var units: [String: [Segment.Unit]] = [:]
        for table in database.liveTables() {
            guard let key = table.largestKey else { continue }
            units[table.familyName, default: []].append(
                Segment.Unit(
                    number: key.unit,
                    byteCount: table.byteCount,
                    lastRecordNumber: key.kind == .tail ? key.number : nil
                )
            )
        }
        return families.compactMap { name, family in
            Segment.number(name).map { number in
                Segment(
                    number: number,
                    family: family,
                    units: (units[name] ?? []).sorted { $0.number < $1.number }
                )
            }
        }
    }

    /// The durable units that are not among `present`.
    private static func missing(_ durable: NumberRanges, from present: [UInt32]) -> Set<UInt32> {
        Set(durable.numbers).subtracting(present)
    }

    /// The unit before which no block is to be believed: the newest that is lost and hid something, unless
    /// the unit after it, whose tail repeats what it hid, is there.
    private static func distrustedBefore(
        _ mark: DurableMark.Contents,
        isLost: (UInt32) -> Bool
    ) -> UInt32 {
        let lost = mark.units.numbers.filter { unit in
            guard isLost(unit), mark.hidingUnits.contains(unit) else { return false }
            return mark.units.next(after: unit).map(isLost) ?? true
        }
        return max(mark.distrustedBefore, lost.max() ?? 0)
    }
}
