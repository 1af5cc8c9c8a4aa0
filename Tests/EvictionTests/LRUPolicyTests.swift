import Eviction
import Testing
