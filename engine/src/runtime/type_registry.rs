//! Function types by number: equal types have equal numbers throughout an engine.
//!
//! Types are equal if their recursion groups are (wasm 3.0, "Type Equivalence"): as many types, equal position by position,
//! where a reference into the group counts by the position it refers to. Most groups are one type that does not refer to
//! itself.

use crate::types::{FuncType, HeapType, RefType, TypeIndex, ValType};
use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

/// The function types of an engine. Concrete heap types in them are numbers of this registry.
#[derive(Debug, Default)]
pub struct TypeRegistry(RwLock<Types>);

#[derive(Debug, Default)]
struct Types {
    /// The first number of each recursion group, whose references to itself are [`OWN_GROUP`] and a position.
    groups: HashMap<Box<[FuncType]>, u32>,
    types: Vec<FuncType>,
}

/// Marks a reference to a type of the same recursion group by its position there. No registry has as many types.
const OWN_GROUP: u32 = 1 << 31;

/// The registry's number of each type of a module, and the types in terms of these numbers.
pub type RegisteredTypes = (Box<[u32]>, Box<[FuncType]>);

impl TypeRegistry {
    /// The number of a type, given in terms of the registry's numbers.
    pub fn register(&self, ty: &FuncType) -> u32 {
        if let Some(number) = self.read().number_of(ty) {
            return number;
        }
        self.register_group([ty.clone()].into())
    }

    /// The type with a number.
    pub fn get(&self, number: u32) -> Option<FuncType> {
        self.read().types.get(number as usize).cloned()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Types> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first number of a group's types.
    fn register_group(&self, group: Box<[FuncType]>) -> u32 {
        if let Some(&first) = self.read().groups.get(&group) {
            return first;
        }
        let mut types = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(&first) = types.groups.get(&group) {
            return first;
        }
        let first = types.types.len();
        assert!(first + group.len() < OWN_GROUP as usize, "fewer than 2^31 distinct types fit in memory");
        let first = first as u32;
        let numbered = group.iter().map(|ty| {
            map_types(ty, |index| Some(index.checked_sub(OWN_GROUP).map_or(index, |position| first + position)))
                .expect("every index has a number")
        });
        types.types.extend(numbered);
        types.groups.insert(group, first);
        first
    }

    /// Registers the types of a module, in recursion groups of these sizes; their numbers and the types in terms of the
    /// registry's numbers. `Err`: this index refers to a later group.
    pub fn register_module(&self, types: &[FuncType], groups: &[u32]) -> Result<RegisteredTypes, usize> {
        let mut numbers: Vec<u32> = Vec::with_capacity(types.len());
        for &size in groups {
            let start = numbers.len();
            let group = start..start + size as usize;
            let own_number = |index: u32| match index as usize {
                index if index < start => Some(numbers[index]),
                index if group.contains(&index) => Some(OWN_GROUP + (index - start) as u32),
                _ => None,
            };
            let members: Result<Box<[FuncType]>, usize> =
                group.clone().map(|index| map_types(&types[index], own_number).ok_or(index)).collect();
            let first = self.register_group(members?);
            numbers.extend(first..first + size);
        }
        let registry = self.read();
        let canonical = numbers.iter().map(|&number| registry.types[number as usize].clone()).collect();
        Ok((numbers.into(), canonical))
    }
}

impl Types {
    /// The number of a type that is known already.
    fn number_of(&self, ty: &FuncType) -> Option<u32> {
        if let Some(&number) = self.groups.get(std::slice::from_ref(ty)) {
            return Some(number);
        }
        // A type that refers to itself is known by its own number.
        let concrete = |ty: &ValType| match ty {
            ValType::Ref(RefType { heap: HeapType::Concrete(TypeIndex(number)), .. }) => Some(*number),
            _ => None,
        };
        let mut numbers = ty.params.iter().chain(&ty.results).filter_map(concrete);
        numbers.find(|&number| self.types.get(number as usize) == Some(ty))
    }
}

/// The type with other indices of concrete types; `None` if one of them has no other.
fn map_types(ty: &FuncType, index: impl Fn(u32) -> Option<u32> + Copy) -> Option<FuncType> {
    let all = |types: &[ValType]| types.iter().map(|&ty| map_val(ty, index)).collect::<Option<_>>();
    Some(FuncType { params: all(&ty.params)?, results: all(&ty.results)? })
}

fn map_val(ty: ValType, index: impl Fn(u32) -> Option<u32>) -> Option<ValType> {
    Some(match ty {
        ValType::Ref(ty) => ValType::Ref(map_ref(ty, index)?),
        other => other,
    })
}

fn map_ref(ty: RefType, index: impl Fn(u32) -> Option<u32>) -> Option<RefType> {
    let heap = match ty.heap {
        HeapType::Concrete(TypeIndex(old)) => HeapType::Concrete(TypeIndex(index(old)?)),
        other => other,
    };
    Some(RefType { heap, ..ty })
}

/// A value type of a module in terms of the registry's numbers.
pub fn canonical_val(ty: ValType, numbers: &[u32]) -> Option<ValType> {
    map_val(ty, |index| numbers.get(index as usize).copied())
}

/// A reference type of a module in terms of the registry's numbers.
pub fn canonical_ref(ty: RefType, numbers: &[u32]) -> Option<RefType> {
    map_ref(ty, |index| numbers.get(index as usize).copied())
}

/// Is every value of type `a` one of type `b`? Both in terms of the registry's numbers.
pub fn is_subtype(a: ValType, b: ValType) -> bool {
    match (a, b) {
        (ValType::Ref(a), ValType::Ref(b)) => is_ref_subtype(a, b),
        _ => a == b,
    }
}

/// Is every value of type `a` one of type `b`? Both in terms of the registry's numbers.
pub fn is_ref_subtype(a: RefType, b: RefType) -> bool {
    use HeapType::{Concrete, Extern, Func, NoExtern, NoFunc};
    (b.nullable || !a.nullable)
        && match (a.heap, b.heap) {
            (a, b) if a == b => true,
            (Concrete(_) | NoFunc, Func) | (NoFunc, Concrete(_)) | (NoExtern, Extern) => true,
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_types_of_two_modules_have_one_number() {
        let registry = TypeRegistry::default();
        let binary = FuncType::new([ValType::I32, ValType::I32], [ValType::I32]);
        let takes = |index| {
            let ty = RefType { nullable: false, heap: HeapType::Concrete(TypeIndex(index)) };
            FuncType::new([ValType::Ref(ty)], [])
        };
        let (a, _) = registry.register_module(&[binary.clone(), takes(0)], &[1, 1]).unwrap();
        let module = [FuncType::default(), binary, takes(1)];
        let (b, canonical) = registry.register_module(&module, &[1, 1, 1]).unwrap();
        assert_eq!(a[..], b[1..]);
        assert_eq!(registry.get(b[2]).as_ref(), Some(&canonical[2]));
        assert_eq!(registry.register_module(&[takes(1), takes(0)], &[1, 1]), Err(0));
    }

    #[test]
    fn types_that_refer_to_themselves_are_equal_by_position() {
        let registry = TypeRegistry::default();
        let takes = |index| {
            let ty = RefType { nullable: true, heap: HeapType::Concrete(TypeIndex(index)) };
            FuncType::new([ValType::Ref(ty)], [])
        };
        let (alone, canonical) = registry.register_module(&[takes(0)], &[1]).unwrap();
        let (later, _) = registry.register_module(&[FuncType::default(), takes(1)], &[1, 1]).unwrap();
        assert_eq!(alone[0], later[1]);
        assert_eq!(registry.register(&canonical[0]), alone[0], "the type as the embedder sees it");
        // A type of a group of two that refer to each other is no type that refers to itself.
        let (pair, _) = registry.register_module(&[takes(1), takes(0)], &[2]).unwrap();
        let (again, _) = registry.register_module(&[takes(0), takes(2), takes(1)], &[1, 2]).unwrap();
        assert_eq!(pair[..], again[1..]);
        assert!(pair[0] != pair[1] && !pair.contains(&alone[0]));
    }

    #[test]
    fn subtyping_of_references() {
        let concrete = HeapType::Concrete(TypeIndex(3));
        let null = |heap| RefType { nullable: true, heap };
        let some = |heap| RefType { nullable: false, heap };
        assert!(is_ref_subtype(some(concrete), null(HeapType::Func)));
        assert!(!is_ref_subtype(null(concrete), some(HeapType::Func)));
        assert!(is_ref_subtype(null(HeapType::NoFunc), null(concrete)));
        assert!(!is_ref_subtype(null(HeapType::Func), null(concrete)));
        assert!(!is_ref_subtype(null(HeapType::Func), null(HeapType::Extern)));
    }
}
