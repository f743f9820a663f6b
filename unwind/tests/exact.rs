//! The rows of real compiled code are right at every instruction.

mod common;

use common::{Body, Module, Shape, function, random_module, target};
use cranelift_codegen::isa::CallConv;
use unwind::check::Report;

fn assert_exact(module: &Module) -> Report {
    let report = module.check(&module.table());
    if let Some(first) = report.findings().next() {
        let shown: Vec<_> = report.findings().take(20).map(ToString::to_string).collect();
        panic!(
            "{} disagreements:\n{}\n{}",
            report.findings().count(),
            shown.join("\n"),
            module.disassemble(first.function..first.address + 16)
        );
    }
    assert_eq!(report.functions, module.functions.len());
    report
}

fn one(shapes: &[Shape], body: impl FnOnce(&mut Body<'_>)) -> Module {
    let isa = target("x86_64-unknown-linux-gnu", "speed");
    let mut functions = vec![function(shapes, 0, body)];
    for index in 1..shapes.len() {
        functions.push(function(shapes, index, |body| body.finish()));
    }
    let module = Module::compile(&*isa, functions);
    assert_exact(&module);
    module
}

#[test]
fn leaf_function() {
    one(&[Shape::new(CallConv::Tail, 2)], |body| body.finish());
}

#[test]
fn callee_pops_its_stack_arguments() {
    let shapes = [Shape::new(CallConv::Tail, 12), Shape::new(CallConv::Tail, 9)];
    one(&shapes, |body| {
        body.call(1, false);
        body.call(1, true);
        body.finish();
    });
}

#[test]
fn tail_call_with_a_growing_argument_area() {
    for indirect in [false, true] {
        for (mine, theirs) in [(0, 5), (0, 14), (7, 14), (0, 40)] {
            let shapes = [Shape::new(CallConv::Tail, mine), Shape::new(CallConv::Tail, theirs)];
            one(&shapes, |body| {
                body.call(1, false);
                body.return_at_the_bottom();
                body.tail_call(1, indirect);
            });
        }
    }
}

#[test]
fn tail_call_with_a_shrinking_argument_area() {
    for indirect in [false, true] {
        for (mine, theirs) in [(5, 0), (14, 0), (14, 7), (40, 0)] {
            let shapes = [Shape::new(CallConv::Tail, mine), Shape::new(CallConv::Tail, theirs)];
            one(&shapes, |body| {
                body.call(1, false);
                body.return_at_the_bottom();
                body.tail_call(1, indirect);
            });
        }
    }
}

#[test]
fn tail_calls_that_grow_and_shrink_in_one_function() {
    let shapes = [Shape::new(CallConv::Tail, 8), Shape::new(CallConv::Tail, 20), Shape::new(CallConv::Tail, 0)];
    one(&shapes, |body| {
        body.call(1, false);
        body.return_at_the_bottom();
        let (grow, shrink) = (body.builder.create_block(), body.builder.create_block());
        body.branch(body.values[0], grow, shrink);
        body.builder.switch_to_block(grow);
        body.tail_call(1, false);
        body.builder.switch_to_block(shrink);
        body.tail_call(2, true);
    });
}

#[test]
fn stack_checks_trap_before_registers_are_saved() {
    for (slot, extra) in [(0, 0), (400, 0), (40_000, 0), (40_000, 9)] {
        let mut shapes = [Shape::new(CallConv::Tail, 1), Shape::new(CallConv::Tail, extra)];
        shapes[0].slot = slot;
        shapes[0].stack_limit = true;
        one(&shapes, |body| {
            body.call(1, false);
            body.guard();
            body.return_at_the_bottom();
            body.tail_call(1, false);
        });
    }
}

#[test]
fn probes_of_large_frames() {
    for slot in [4096, 9000, 16_000, 24_000, 1 << 20] {
        let mut shapes = [Shape::new(CallConv::SystemV, 1), Shape::new(CallConv::Tail, 0)];
        shapes[0].slot = slot;
        one(&shapes, |body| {
            body.call(1, false);
            body.finish();
        });
    }
}

#[test]
fn jump_tables_and_bait() {
    one(&[Shape::new(CallConv::Tail, 3)], |body| {
        body.bait();
        body.switch(body.values[1]);
        body.bait();
        body.switch(body.values[2]);
        body.constant_bait();
        body.guard();
        body.finish();
    });
}

#[test]
fn functions_that_never_return() {
    one(&[Shape::new(CallConv::Tail, 0), Shape::new(CallConv::Tail, 9)], |body| {
        body.call(1, false);
        body.guard();
        body.trap();
    });
}

#[test]
fn random_modules() {
    let mut instructions = 0;
    for seed in 0..40 {
        let level = ["none", "speed", "speed_and_size"][seed as usize % 3];
        instructions += assert_exact(&random_module(seed, 60, level)).instructions;
    }
    assert!(instructions > 100_000, "only {instructions} instructions");
}
