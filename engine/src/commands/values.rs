//! Wasm values on the command line.

use anyhow::{Result, anyhow, bail};
use std::ffi::OsString;
use wasmscope::{ExternRef, FuncType, HeapType, V128, Val, ValType};

/// The arguments of a call, each read as its parameter's type demands.
pub fn parse_arguments(name: &str, ty: &FuncType, arguments: &[OsString]) -> Result<Vec<Val>> {
    if arguments.len() != ty.params.len() {
        bail!("`{name}` has the type {ty}: it takes {}, {} given", count(ty.params.len()), arguments.len());
    }
    arguments
        .iter()
        .zip(&ty.params)
        .enumerate()
        .map(|(i, (argument, &ty))| {
            argument.to_str().and_then(|text| parse_value(text, ty)).ok_or_else(|| {
                anyhow!("argument {} of `{name}`, `{}`, is not {}", i + 1, argument.display(), expected(ty))
            })
        })
        .collect()
}

fn count(arguments: usize) -> String {
    match arguments {
        0 => "no arguments".to_owned(),
        1 => "1 argument".to_owned(),
        more => format!("{more} arguments"),
    }
}

fn expected(ty: ValType) -> String {
    match ty {
        ValType::I32 => "an i32: a decimal or 0x... number from -2147483648 to 4294967295".to_owned(),
        ValType::I64 => {
            "an i64: a decimal or 0x... number from -9223372036854775808 to 18446744073709551615".to_owned()
        }
        ValType::F32 | ValType::F64 => format!("an {ty}: a number, `inf` or `nan`"),
        ValType::V128 => "a v128: 0x and up to 32 hexadecimal digits".to_owned(),
        ValType::Ref(reference) if reference.heap == HeapType::Extern => {
            format!("a {ty}: text, which becomes a host value")
        }
        ValType::Ref(reference) if reference.heap == HeapType::I31 => {
            format!("an {ty}: a number from -1073741824 to 1073741823")
        }
        ValType::Ref(_) => format!("a {ty}: only `null` can be given here"),
    }
}

fn parse_value(text: &str, ty: ValType) -> Option<Val> {
    let integer = || parse_integer(text);
    match ty {
        // Signed and unsigned numbers are both welcome; the bits are the same.
        ValType::I32 => {
            let value = integer()?;
            i32::try_from(value).or_else(|_| u32::try_from(value).map(|value| value as i32)).ok().map(Val::I32)
        }
        ValType::I64 => {
            let value = integer()?;
            i64::try_from(value).or_else(|_| u64::try_from(value).map(|value| value as i64)).ok().map(Val::I64)
        }
        ValType::F32 => text.parse::<f32>().ok().map(|value| Val::F32(value.to_bits())),
        ValType::F64 => text.parse::<f64>().ok().map(|value| Val::F64(value.to_bits())),
        ValType::V128 => u128::from_str_radix(text.strip_prefix("0x")?, 16).ok().map(|bits| Val::V128(V128(bits))),
        ValType::Ref(reference) if text == "null" && reference.nullable => Some(match reference.heap {
            HeapType::Extern | HeapType::NoExtern => Val::ExternRef(None),
            HeapType::Func | HeapType::NoFunc | HeapType::Concrete(_) => Val::FuncRef(None),
            HeapType::I31 => Val::I31Ref(None),
        }),
        ValType::Ref(reference) if reference.heap == HeapType::Extern => {
            Some(Val::ExternRef(Some(ExternRef::new(text.to_owned()))))
        }
        ValType::Ref(reference) if reference.heap == HeapType::I31 => {
            let value = integer().filter(|value| (-1 << 30..1 << 30).contains(value))?;
            Some(Val::I31Ref(Some(value as i32)))
        }
        ValType::Ref(_) => None,
    }
}

fn parse_integer(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    // `from_str_radix` takes a sign of its own.
    let digits_only = |digits: &str| !digits.starts_with(['+', '-']);
    let value = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hexadecimal) if digits_only(hexadecimal) => i128::from_str_radix(hexadecimal, 16).ok()?,
        None if digits_only(digits) => digits.parse().ok()?,
        _ => return None,
    };
    Some(if negative { -value } else { value })
}

/// A result as a person reads it.
pub fn format_value(value: &Val) -> String {
    match value {
        Val::I32(value) => value.to_string(),
        Val::I64(value) => value.to_string(),
        Val::F32(bits) => f32::from_bits(*bits).to_string(),
        Val::F64(bits) => f64::from_bits(*bits).to_string(),
        Val::V128(V128(bits)) => format!("{bits:#034x}"),
        Val::FuncRef(None) | Val::ExternRef(None) | Val::I31Ref(None) => "null".to_owned(),
        Val::FuncRef(Some(_)) => "<function>".to_owned(),
        Val::I31Ref(Some(value)) => value.to_string(),
        Val::ExternRef(Some(reference)) => match reference.downcast_ref::<String>() {
            // One that was given as an argument.
            Some(text) => text.clone(),
            None => "<host value>".to_owned(),
        },
    }
}
