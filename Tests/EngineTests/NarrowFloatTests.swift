import Testing

@testable import Engine

@Suite("Narrow floats")
struct NarrowFloatTests {
    @Test("every half and bfloat16 survives widening and rounding; not-a-number stays one")
    func allBits() {
        var failures = 0
        for bits in UInt16.min...UInt16.max {
            let (half, brain) = (Float(halfBits: bits), Float(brainBits: bits))
            if half.isNaN ? !Float(halfBits: half.halfBits).isNaN : half.halfBits != bits { failures += 1 }
            if brain.isNaN ? !Float(brainBits: brain.brainBits).isNaN : brain.brainBits != bits { failures += 1 }
        }
        #expect(failures == 0)
    }

    @Test("values between two are rounded to the nearer, ties to the even one")
    func rounding() {
        for (low, high) in [(UInt16(0x3c00), UInt16(0x3c01)), (0x0001, 0x0002), (0x03ff, 0x0400), (0x7bfe, 0x7bff)] {
            let middle = (Float(halfBits: low) + Float(halfBits: high)) / 2
            #expect(middle.halfBits == (low.isMultiple(of: 2) ? low : high))
            #expect(middle.nextDown.halfBits == low)
            #expect(middle.nextUp.halfBits == high)
            #expect((-middle.nextUp).halfBits == high | 0x8000)
        }
        for (low, high) in [(UInt16(0x3f80), UInt16(0x3f81)), (0x0080, 0x0081), (0x7f7e, 0x7f7f)] {
            let middle = Float(brainBits: low) / 2 + Float(brainBits: high) / 2
            #expect(middle.brainBits == (low.isMultiple(of: 2) ? low : high))
            #expect(middle.nextDown.brainBits == low)
            #expect(middle.nextUp.brainBits == high)
        }
        #expect(Float(65_519.996).halfBits == 0x7bff)
        #expect(Float(65_520).halfBits == 0x7c00)
        #expect(Float.greatestFiniteMagnitude.brainBits == 0x7f80)
    }
}
