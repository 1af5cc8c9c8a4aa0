/// Which block goes first: a pure value that knows blocks by their slot only.
package protocol EvictionPolicy: ~Copyable, Sendable {
}
