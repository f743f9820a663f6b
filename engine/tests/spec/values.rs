//! Values of the test format.

use wasmscope::{ExternRef, Func, V128, Val};
use wast::core::{NanPattern, V128Pattern, WastArgCore, WastRetCore};
use wast::token::{F32, F64};
use wast::{WastArg, WastRet};

/// The argument that a script passes; `None` for a kind that no embedder can make.
pub fn argument(arg: &WastArg<'_>) -> Option<Val> {
    let WastArg::Core(arg) = arg else { return None };
    Some(match arg {
        WastArgCore::I32(value) => Val::I32(*value),
        WastArgCore::I64(value) => Val::I64(*value),
        WastArgCore::F32(value) => Val::F32(value.bits),
        WastArgCore::F64(value) => Val::F64(value.bits),
        WastArgCore::V128(value) => Val::V128(V128(u128::from_le_bytes(value.to_le_bytes()))),
        WastArgCore::RefNull(wast::core::HeapType::Abstract {
            ty: wast::core::AbstractHeapType::Extern | wast::core::AbstractHeapType::NoExtern,
            ..
        }) => Val::ExternRef(None),
        WastArgCore::RefNull(wast::core::HeapType::Abstract { ty: wast::core::AbstractHeapType::I31, .. }) => {
            Val::I31Ref(None)
        }
        WastArgCore::RefNull(_) => Val::FuncRef(None::<Func>),
        WastArgCore::RefExtern(number) => Val::ExternRef(Some(ExternRef::new(*number))),
        _ => return None,
    })
}

/// Does the value match what the script expects?
pub fn matches(expected: &WastRet<'_>, actual: &Val) -> bool {
    match expected {
        WastRet::Core(expected) => core_matches(expected, actual),
        _ => false,
    }
}

fn core_matches(expected: &WastRetCore<'_>, actual: &Val) -> bool {
    match (expected, actual) {
        (WastRetCore::I32(expected), Val::I32(actual)) => expected == actual,
        (WastRetCore::I64(expected), Val::I64(actual)) => expected == actual,
        (WastRetCore::F32(expected), Val::F32(actual)) => f32_matches(expected, *actual),
        (WastRetCore::F64(expected), Val::F64(actual)) => f64_matches(expected, *actual),
        (WastRetCore::V128(expected), Val::V128(V128(actual))) => v128_matches(expected, actual.to_le_bytes()),
        (WastRetCore::RefNull(_), Val::FuncRef(None) | Val::ExternRef(None) | Val::I31Ref(None)) => true,
        (WastRetCore::RefI31, Val::I31Ref(Some(_))) => true,
        (WastRetCore::RefExtern(None), Val::ExternRef(Some(_))) => true,
        (WastRetCore::RefExtern(Some(expected)), Val::ExternRef(Some(actual))) => {
            actual.downcast_ref::<u32>() == Some(expected)
        }
        (WastRetCore::RefFunc(_), Val::FuncRef(Some(_))) => true,
        (WastRetCore::Either(options), actual) => options.iter().any(|option| core_matches(option, actual)),
        _ => false,
    }
}

fn f32_matches(expected: &NanPattern<F32>, actual: u32) -> bool {
    match expected {
        NanPattern::CanonicalNan => actual & 0x7fff_ffff == 0x7fc0_0000,
        NanPattern::ArithmeticNan => actual & 0x7fc0_0000 == 0x7fc0_0000,
        NanPattern::Value(expected) => expected.bits == actual,
    }
}

fn f64_matches(expected: &NanPattern<F64>, actual: u64) -> bool {
    match expected {
        NanPattern::CanonicalNan => actual & 0x7fff_ffff_ffff_ffff == 0x7ff8_0000_0000_0000,
        NanPattern::ArithmeticNan => actual & 0x7ff8_0000_0000_0000 == 0x7ff8_0000_0000_0000,
        NanPattern::Value(expected) => expected.bits == actual,
    }
}

fn v128_matches(expected: &V128Pattern, actual: [u8; 16]) -> bool {
    fn lanes<const N: usize, const W: usize>(actual: [u8; 16]) -> [[u8; W]; N] {
        std::array::from_fn(|lane| std::array::from_fn(|byte| actual[lane * W + byte]))
    }
    match expected {
        V128Pattern::I8x16(expected) => lanes::<16, 1>(actual).map(i8::from_le_bytes) == *expected,
        V128Pattern::I16x8(expected) => lanes::<8, 2>(actual).map(i16::from_le_bytes) == *expected,
        V128Pattern::I32x4(expected) => lanes::<4, 4>(actual).map(i32::from_le_bytes) == *expected,
        V128Pattern::I64x2(expected) => lanes::<2, 8>(actual).map(i64::from_le_bytes) == *expected,
        V128Pattern::F32x4(expected) => expected
            .iter()
            .zip(lanes::<4, 4>(actual).map(u32::from_le_bytes))
            .all(|(expected, actual)| f32_matches(expected, actual)),
        V128Pattern::F64x2(expected) => expected
            .iter()
            .zip(lanes::<2, 8>(actual).map(u64::from_le_bytes))
            .all(|(expected, actual)| f64_matches(expected, actual)),
    }
}
