//! How fast a table is built, and a stack is walked with it.
//!
//! framehop runs on the same sections and the same pcs. `UNWIND_ELF` names an artifact whose table is used for the
//! steps; without it, it is that of a module of random functions. On a machine that does other things, the means say
//! little: with `UNWIND_LEAST=1` the least of many short batches is printed instead.

#[path = "../tests/common/mod.rs"]
mod common;

use std::hint::black_box;
use std::time::Instant;

use common::{Module, Random, TEXT, random_functions, target};
use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, Criterion, criterion_group, criterion_main};
use framehop::x86_64::{CacheX86_64, UnwindRegsX86_64, UnwinderX86_64};
use framehop::{ExplicitModuleSectionInfo, FrameAddress, MayAllocateDuringUnwind, Unwinder as _};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};
use unwind::{Arch, FrameTable, Lookup, Registers, RowCache, SectionAddresses, Unwinder};

const FUNCTIONS: usize = 2400;
const STACK: u64 = 0x7000_0000_0000;

fn module() -> Module {
    let isa = target("x86_64-unknown-linux-gnu", "speed");
    Module::compile(&*isa, random_functions(1, FUNCTIONS).1)
}

fn build(criterion: &mut Criterion) {
    let isa = target("x86_64-unknown-linux-gnu", "speed");
    let functions = random_functions(1, 200).1;
    let mut group = criterion.benchmark_group("200 functions");
    group.sample_size(10);
    group.bench_function("compile", |bencher| {
        bencher.iter_batched(
            || functions.clone(),
            |functions| Module::compile(&*isa, functions),
            BatchSize::LargeInput,
        );
    });
    let module = Module::compile(&*isa, functions.clone());
    group.bench_function("build table", |bencher| {
        bencher.iter(|| FrameTable::build(Arch::X86_64, module.frames()).unwrap());
    });
    let table = module.table();
    let at = module.addresses();
    group.bench_function("write .eh_frame and .eh_frame_hdr", |bencher| {
        bencher.iter(|| (table.eh_frame(at).unwrap(), table.eh_frame_hdr(at).unwrap()));
    });
    group.bench_function("check statically", |bencher| bencher.iter(|| module.check(&table)));
}

/// A table, and pcs in the functions that it describes.
struct Table {
    at: SectionAddresses,
    eh_frame: Vec<u8>,
    eh_frame_hdr: Vec<u8>,
    text_size: u64,
    pcs: Vec<u64>,
}

const PCS: usize = 1 << 16;

impl Table {
    fn of_random_functions() -> Table {
        let module = module();
        let table = module.table();
        let at: SectionAddresses = module.addresses();
        let mut random = Random::new(3);
        // In the middle of bodies, where callers are.
        let pc = |_| {
            let function = &module.functions[random.below(module.functions.len())];
            let block = function.blocks[random.below(function.blocks.len())];
            TEXT + u64::from(function.start + block) + 1
        };
        Table {
            at,
            eh_frame: table.eh_frame(at).unwrap(),
            eh_frame_hdr: table.eh_frame_hdr(at).unwrap(),
            text_size: module.text.len() as u64,
            pcs: (0..PCS).map(pc).collect(),
        }
    }

    fn of_file(path: &str) -> Table {
        let bytes = std::fs::read(path).unwrap();
        let file = object::File::parse(&*bytes).unwrap();
        let section = |name: &str| {
            let section = file.section_by_name(name).unwrap_or_else(|| panic!("{path} has no {name}"));
            (section.address(), section.uncompressed_data().unwrap().into_owned())
        };
        let (text, eh_frame, eh_frame_hdr) = (section(".text"), section(".eh_frame"), section(".eh_frame_hdr"));
        let functions: Vec<(u64, u64)> = file
            .symbols()
            .filter(|symbol| symbol.kind() == object::SymbolKind::Text && symbol.size() > 0)
            .map(|symbol| (symbol.address(), symbol.size()))
            .collect();
        let mut random = Random::new(3);
        let pc = |_| {
            let (start, size) = functions[random.below(functions.len())];
            start + random.below(size as usize) as u64
        };
        Table {
            at: SectionAddresses { text: text.0, eh_frame: eh_frame.0, eh_frame_hdr: eh_frame_hdr.0 },
            text_size: text.1.len() as u64,
            eh_frame: eh_frame.1,
            eh_frame_hdr: eh_frame_hdr.1,
            pcs: (0..PCS).map(pc).collect(),
        }
    }
}

/// Runs `step` with the numbers from 0 on: the mean of many, or the least of the means of short batches.
fn measure(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, mut step: impl FnMut(usize)) {
    const BATCHES: usize = 20_000;
    const BATCH: usize = 256;
    let mut next = 0;
    let mut step = || {
        step(next);
        next += 1;
    };
    if std::env::var_os("UNWIND_LEAST").is_none() {
        group.bench_function(name, |bencher| bencher.iter(&mut step));
        return;
    }
    let batch = |_| {
        let start = Instant::now();
        (0..BATCH).for_each(|_| step());
        start.elapsed()
    };
    let least = (0..BATCHES).map(batch).min().unwrap();
    println!("{name}: {:.1} ns", least.as_nanos() as f64 / BATCH as f64);
}

fn step(criterion: &mut Criterion) {
    let table = match std::env::var("UNWIND_ELF") {
        Ok(path) => Table::of_file(&path),
        Err(_) => Table::of_random_functions(),
    };
    let Table { at, eh_frame, eh_frame_hdr, text_size, pcs } = table;
    let unwinder = Unwinder::new(&eh_frame, &eh_frame_hdr, at).unwrap();
    let frame = |rip| Registers { rip, rsp: STACK, rbp: STACK + 64, ..Registers::default() };
    let read = |address: u64| Some(address);

    let mut group = criterion.benchmark_group("step");
    let mut cache = RowCache::new();
    let warm: Vec<Registers> = pcs[..16].iter().map(|&pc| frame(pc)).collect();
    measure(&mut group, "warm", |next| {
        black_box(unwinder.step(&mut cache, black_box(&warm[next % 16]), Lookup::ReturnAddress, read)).ok();
    });
    let mut cache = RowCache::new();
    measure(&mut group, "cold", |next| {
        let frame = frame(black_box(pcs[next % PCS]));
        black_box(unwinder.step(&mut cache, &frame, Lookup::ReturnAddress, read)).ok();
    });

    let mut other = UnwinderX86_64::<Vec<u8>, MayAllocateDuringUnwind>::new();
    other.add_module(framehop::Module::new(
        "module".to_owned(),
        at.text..at.eh_frame_hdr + eh_frame_hdr.len() as u64,
        at.text,
        ExplicitModuleSectionInfo {
            base_svma: at.text,
            text_svma: Some(at.text..at.text + text_size),
            eh_frame_svma: Some(at.eh_frame..at.eh_frame + eh_frame.len() as u64),
            eh_frame: Some(eh_frame.clone()),
            eh_frame_hdr_svma: Some(at.eh_frame_hdr..at.eh_frame_hdr + eh_frame_hdr.len() as u64),
            eh_frame_hdr: Some(eh_frame_hdr.clone()),
            ..Default::default()
        },
    ));
    let framehop_step = |cache: &mut CacheX86_64<MayAllocateDuringUnwind>, pc: u64| {
        let mut registers = UnwindRegsX86_64::new(pc, STACK, STACK + 64);
        let address = FrameAddress::from_return_address(pc).unwrap();
        other.unwind_frame(address, &mut registers, cache, &mut |address| Ok(address))
    };
    let mut cache = CacheX86_64::new();
    measure(&mut group, "warm, framehop", |next| {
        black_box(framehop_step(&mut cache, black_box(pcs[next % 16]))).ok();
    });
    let mut cache = CacheX86_64::new();
    measure(&mut group, "cold, framehop", |next| {
        black_box(framehop_step(&mut cache, black_box(pcs[next % PCS]))).ok();
    });
}

criterion_group!(benches, build, step);
criterion_main!(benches);
