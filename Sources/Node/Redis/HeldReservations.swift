internal import MemoryTier
internal import Tiering

/// The places in the arena that one client writes in place, by the numbers it knows them by.
struct HeldReservations {
    /// A place, and how its block is to be stored.
    struct Held {
        let reservation: Reservation
        let space: KeySpace
        let options: PutOptions
    }

    private var held: [UInt64: Held] = [:]
    /// Begins anywhere: a client that has lost its connection must not commit what it left half-written by a number that
    /// is another place's on the next one.
    private var nextID = UInt64.random(in: 1 << 32..<1 << 62)

    var count: Int { held.count }

    /// Keeps a place; it is given back when this value goes.
    mutating func add(_ place: Held) -> UInt64 {
        defer { nextID += 1 }
        held[nextID] = place
        return nextID
    }

    /// Hands a place on; `nil` for a number that is none, or was one.
    mutating func remove(_ id: UInt64) -> Held? { held.removeValue(forKey: id) }

    /// Gives all places back; returns their bytes.
    mutating func removeAll() -> Int {
        defer { held = [:] }
        return held.values.reduce(0) { $0 + $1.reservation.payloadByteCount }
    }
}
