import MemoryTier
import Testing
