//! How fast a table is built, and a stack is walked with it.
//!
//! framehop runs on the same sections and the same pcs.

#[path = "../tests/common/mod.rs"]
mod common;

use std::hint::black_box;

use common::{Module, Random, TEXT, random_functions, target};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use framehop::x86_64::{CacheX86_64, UnwindRegsX86_64, UnwinderX86_64};
use framehop::{ExplicitModuleSectionInfo, FrameAddress, MayAllocateDuringUnwind, Unwinder as _};
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

fn step(criterion: &mut Criterion) {
    let module = module();
    let table = module.table();
    let at: SectionAddresses = module.addresses();
    let (eh_frame, eh_frame_hdr) = (table.eh_frame(at).unwrap(), table.eh_frame_hdr(at).unwrap());
    let unwinder = Unwinder::new(&eh_frame, &eh_frame_hdr, at).unwrap();
    let mut random = Random::new(3);
    // In the middle of bodies, where callers are.
    let pcs: Vec<u64> = (0..1 << 16)
        .map(|_| {
            let function = &module.functions[random.below(module.functions.len())];
            let block = function.blocks[random.below(function.blocks.len())];
            TEXT + u64::from(function.start + block) + 1
        })
        .collect();
    let frame = |rip| Registers { rip, rsp: STACK, rbp: STACK + 64, ..Registers::default() };
    let read = |address: u64| Some(address);

    let mut group = criterion.benchmark_group("step");
    group.bench_function("warm", |bencher| {
        let mut cache = RowCache::new();
        let frames: Vec<Registers> = pcs[..16].iter().map(|&pc| frame(pc)).collect();
        let mut next = 0;
        bencher.iter(|| {
            next = (next + 1) % 16;
            unwinder.step(&mut cache, black_box(&frames[next]), Lookup::ReturnAddress, read)
        });
    });
    group.bench_function("cold", |bencher| {
        let mut cache = RowCache::new();
        let mut next = 0;
        bencher.iter(|| {
            next = (next + 1) % pcs.len();
            unwinder.step(&mut cache, &frame(black_box(pcs[next])), Lookup::ReturnAddress, read)
        });
    });

    let mut other = UnwinderX86_64::<Vec<u8>, MayAllocateDuringUnwind>::new();
    other.add_module(framehop::Module::new(
        "module".to_owned(),
        TEXT..at.eh_frame + eh_frame.len() as u64,
        TEXT,
        ExplicitModuleSectionInfo {
            base_svma: TEXT,
            text_svma: Some(TEXT..TEXT + module.text.len() as u64),
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
    group.bench_function("warm, framehop", |bencher| {
        let mut cache = CacheX86_64::new();
        let mut next = 0;
        bencher.iter(|| {
            next = (next + 1) % 16;
            framehop_step(&mut cache, black_box(pcs[next]))
        });
    });
    group.bench_function("cold, framehop", |bencher| {
        let mut cache = CacheX86_64::new();
        let mut next = 0;
        bencher.iter(|| {
            next = (next + 1) % pcs.len();
            framehop_step(&mut cache, black_box(pcs[next]))
        });
    });
}

criterion_group!(benches, build, step);
criterion_main!(benches);
