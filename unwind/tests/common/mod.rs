//! Modules of machine code to try the tables on: real output of the code generator.
#![allow(dead_code, reason = "each test and bench uses the part of this it needs")]

use std::collections::BTreeMap;
use std::ops::Range;

use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    AbiParam, ArgumentPurpose, Block, BlockCall, ExtFuncData, ExternalName, FuncRef, Function, GlobalValueData,
    InstBuilder, JumpTableData, MemFlags, Signature, StackSlotData, StackSlotKind, TrapCode, UserExternalName,
    UserFuncName, Value, types,
};
use cranelift_codegen::isa::unwind::UnwindInst;
use cranelift_codegen::isa::{CallConv, OwnedTargetIsa, TargetIsa};
use cranelift_codegen::settings::{Configurable, Flags};
use cranelift_codegen::{Context, FinalizedRelocTarget};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use unwind::check::{Checked, Report, check};
use unwind::{Arch, CodeOffset, FrameTable, FunctionFrame, PrologueOp, SectionAddresses, TextOffset, UnwindOp};

/// Where the tests pretend that text lies.
pub const TEXT: u64 = 0x2000_0000_0000;

/// A small generator of numbers; the same seed gives the same module everywhere.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }
}

/// A target with the settings that guest code is compiled with.
pub fn target(triple: &str, opt_level: &str) -> OwnedTargetIsa {
    let mut flags = cranelift_codegen::settings::builder();
    for (name, value) in [
        ("opt_level", opt_level),
        ("preserve_frame_pointers", "true"),
        ("unwind_info", "true"),
        ("machine_code_cfg_info", "true"),
        ("enable_probestack", "true"),
        ("probestack_strategy", "inline"),
    ] {
        flags.set(name, value).unwrap();
    }
    let mut isa = cranelift_codegen::isa::lookup(triple.parse().unwrap()).unwrap();
    if triple.starts_with("x86_64") {
        for feature in ["has_sse3", "has_ssse3", "has_sse41", "has_sse42", "has_popcnt"] {
            isa.set(feature, "true").unwrap();
        }
    }
    isa.finish(Flags::new(flags)).unwrap()
}

/// One compiled function.
pub struct Compiled {
    pub start: u32,
    pub code: Vec<u8>,
    pub prologue: Vec<PrologueOp>,
    pub blocks: Vec<u32>,
}

/// Functions laid out in one text.
pub struct Module {
    pub functions: Vec<Compiled>,
    /// With calls between the functions in place.
    pub text: Vec<u8>,
}

impl Module {
    /// Compiles the functions and lays them out. Function i is `u0:i` to the others.
    pub fn compile(isa: &dyn TargetIsa, functions: Vec<Function>) -> Module {
        let mut text = Vec::new();
        let mut compiled = Vec::new();
        let mut relocations = Vec::new();
        for function in functions {
            let names = function.params.clone();
            let mut context = Context::for_function(function);
            let output = context.compile(isa, &mut ControlPlane::default()).unwrap();
            text.resize(text.len().next_multiple_of(16), 0);
            let start = text.len() as u32;
            for relocation in output.buffer.relocs() {
                let FinalizedRelocTarget::ExternalName(ExternalName::User(name)) = relocation.target else {
                    panic!("unexpected target of a relocation");
                };
                relocations.push((
                    start + relocation.offset,
                    relocation.kind,
                    names.user_named_funcs()[name].index,
                    relocation.addend,
                ));
            }
            let code = output.buffer.data().to_vec();
            text.extend(&code);
            compiled.push(Compiled {
                start,
                code,
                prologue: output
                    .buffer
                    .unwind_info
                    .iter()
                    .map(|(offset, inst)| operation(isa, *offset, inst))
                    .collect(),
                blocks: output.bb_starts.clone(),
            });
        }
        for (place, kind, callee, addend) in relocations {
            let target = i64::from(compiled[callee as usize].start) + addend;
            let place = place as usize;
            match kind {
                Reloc::X86CallPCRel4 => {
                    let value = (target - place as i64) as i32;
                    text[place..place + 4].copy_from_slice(&value.to_le_bytes());
                }
                Reloc::Abs8 => {
                    let value = TEXT.wrapping_add_signed(target);
                    text[place..place + 8].copy_from_slice(&value.to_le_bytes());
                }
                // Other machines' code is not run here.
                _ => assert!(isa.triple().architecture != "x86_64".parse().unwrap()),
            }
        }
        Module { functions: compiled, text }
    }

    pub fn frames(&self) -> impl Iterator<Item = FunctionFrame<'_>> {
        self.functions.iter().map(|function| FunctionFrame {
            start: TextOffset(function.start),
            code: &function.code,
            prologue: function.prologue.clone(),
            basic_blocks: Some(&function.blocks),
        })
    }

    pub fn table(&self) -> FrameTable {
        FrameTable::build(Arch::X86_64, self.frames()).unwrap()
    }

    pub fn ranges(&self) -> Vec<Range<u64>> {
        self.functions
            .iter()
            .map(|function| {
                let start = TEXT + u64::from(function.start);
                start..start + function.code.len() as u64
            })
            .collect()
    }

    /// Where the sections go that belong to this text.
    pub fn addresses(&self) -> SectionAddresses {
        let eh_frame_hdr = TEXT + self.text.len().next_multiple_of(0x1000) as u64;
        SectionAddresses { text: TEXT, eh_frame_hdr, eh_frame: eh_frame_hdr + 0x10_0000 }
    }

    /// The code from one address to another, for a message.
    pub fn disassemble(&self, range: Range<u64>) -> String {
        use iced_x86::{Decoder, DecoderOptions, Formatter, NasmFormatter};
        let offset = (range.start - TEXT) as usize;
        let decoder = Decoder::with_ip(64, &self.text[offset..], range.start, DecoderOptions::NONE);
        let mut lines = String::new();
        for instruction in decoder.into_iter().take_while(|instruction| instruction.ip() < range.end) {
            let mut line = String::new();
            NasmFormatter::new().format(&instruction, &mut line);
            lines += &format!("{:#x} {line}\n", instruction.ip());
        }
        lines
    }

    pub fn check(&self, table: &FrameTable) -> Report {
        let at = self.addresses();
        self.check_bytes(&table.eh_frame(at).unwrap(), Some(&table.eh_frame_hdr(at).unwrap()))
    }

    pub fn check_bytes(&self, eh_frame: &[u8], eh_frame_hdr: Option<&[u8]>) -> Report {
        let at = self.addresses();
        check(&Checked {
            text: &self.text,
            text_address: at.text,
            functions: &self.ranges(),
            eh_frame,
            eh_frame_address: at.eh_frame,
            eh_frame_hdr: eh_frame_hdr.map(|section| (section, at.eh_frame_hdr)),
            foreign: false,
        })
    }
}

fn operation(isa: &dyn TargetIsa, offset: u32, inst: &UnwindInst) -> PrologueOp {
    let op = match *inst {
        UnwindInst::PushFrameRegs { offset_upward_to_caller_sp } => {
            UnwindOp::PushFrameRegs { offset_upward_to_caller_sp }
        }
        UnwindInst::DefineNewFrame { offset_upward_to_caller_sp, offset_downward_to_clobbers } => {
            UnwindOp::DefineNewFrame { offset_upward_to_caller_sp, offset_downward_to_clobbers }
        }
        UnwindInst::StackAlloc { size } => UnwindOp::StackAlloc { size },
        UnwindInst::SaveReg { clobber_offset, reg } => {
            UnwindOp::SaveReg { dwarf_reg: isa.map_regalloc_reg_to_dwarf(reg.into()).unwrap(), clobber_offset }
        }
        UnwindInst::Aarch64SetPointerAuth { return_addresses } => UnwindOp::SetPointerAuth { return_addresses },
    };
    PrologueOp { offset: CodeOffset(offset), op }
}

/// What a function looks like from outside.
#[derive(Clone)]
pub struct Shape {
    pub conv: CallConv,
    /// Parameters after the context and the depth.
    pub extra: usize,
    /// Bytes of its stack slot.
    pub slot: u32,
    pub stack_limit: bool,
}

impl Shape {
    pub fn new(conv: CallConv, extra: usize) -> Shape {
        Shape { conv, extra, slot: 0, stack_limit: false }
    }

    pub fn signature(&self) -> Signature {
        let mut signature = Signature::new(self.conv);
        signature.params.push(AbiParam::special(types::I64, ArgumentPurpose::VMContext));
        for _ in 0..1 + self.extra {
            signature.params.push(AbiParam::new(types::I64));
        }
        signature.returns.push(AbiParam::new(types::I64));
        signature
    }
}

/// Builds one function among others, statement by statement.
pub struct Body<'a> {
    pub builder: FunctionBuilder<'a>,
    shapes: &'a [Shape],
    pub context: Value,
    pub depth: Value,
    /// Values that later statements may use.
    pub values: Vec<Value>,
    imports: BTreeMap<usize, FuncRef>,
    slot: Option<cranelift_codegen::ir::StackSlot>,
    slot_size: u32,
}

/// Builds function number `index`; `body` must end it.
pub fn function(shapes: &[Shape], index: usize, body: impl FnOnce(&mut Body<'_>)) -> Function {
    let shape = &shapes[index];
    let mut function = Function::with_name_signature(UserFuncName::user(0, index as u32), shape.signature());
    if shape.stack_limit {
        let base = function.create_global_value(GlobalValueData::VMContext);
        let limit = function.create_global_value(GlobalValueData::Load {
            base,
            offset: 0.into(),
            global_type: types::I64,
            flags: MemFlags::trusted(),
        });
        function.stack_limit = Some(limit);
    }
    let mut context = FunctionBuilderContext::new();
    let mut builder = FunctionBuilder::new(&mut function, &mut context);
    let entry = builder.create_block();
    builder.append_block_params_for_function_params(entry);
    builder.switch_to_block(entry);
    let params = builder.block_params(entry).to_vec();
    let slot = (shape.slot > 0)
        .then(|| builder.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, shape.slot, 3)));
    let mut state = Body {
        builder,
        shapes,
        context: params[0],
        depth: params[1],
        values: params[1..].to_vec(),
        imports: BTreeMap::new(),
        slot,
        slot_size: shape.slot,
    };
    body(&mut state);
    state.builder.seal_all_blocks();
    state.builder.finalize();
    function
}

impl Body<'_> {
    pub fn callee(&mut self, index: usize) -> FuncRef {
        if let Some(&callee) = self.imports.get(&index) {
            return callee;
        }
        let signature = self.builder.import_signature(self.shapes[index].signature());
        let name = self.builder.func.declare_imported_user_function(UserExternalName::new(0, index as u32));
        let callee =
            self.builder.import_function(ExtFuncData { name: ExternalName::user(name), signature, colocated: true });
        self.imports.insert(index, callee);
        callee
    }

    fn arguments(&mut self, callee: usize) -> Vec<Value> {
        let depth = self.builder.ins().iadd_imm(self.depth, -1);
        let mut arguments = vec![self.context, depth];
        for index in 0..self.shapes[callee].extra {
            arguments.push(self.values[index % self.values.len()]);
        }
        arguments
    }

    /// Goes on only while the depth is not used up; else returns.
    pub fn return_at_the_bottom(&mut self) {
        let (more, bottom) = (self.builder.create_block(), self.builder.create_block());
        let positive = self.builder.ins().icmp_imm(IntCC::SignedGreaterThan, self.depth, 0);
        self.builder.ins().brif(positive, more, &[], bottom, &[]);
        self.builder.switch_to_block(bottom);
        self.finish();
        self.builder.switch_to_block(more);
    }

    pub fn call(&mut self, callee: usize, indirect: bool) {
        let arguments = self.arguments(callee);
        let function = self.callee(callee);
        let call = match indirect {
            false => self.builder.ins().call(function, &arguments),
            true => {
                let address = self.builder.ins().func_addr(types::I64, function);
                let signature = self.builder.import_signature(self.shapes[callee].signature());
                self.builder.ins().call_indirect(signature, address, &arguments)
            }
        };
        let result = self.builder.inst_results(call)[0];
        self.values.push(result);
    }

    /// Calls the host's function whose address the context holds.
    pub fn call_host(&mut self) {
        let host = self.builder.ins().load(types::I64, MemFlags::trusted(), self.context, 8);
        let signature = self.builder.import_signature(Shape::new(CallConv::SystemV, 1).signature());
        let depth = self.builder.ins().iadd_imm(self.depth, -1);
        let value = self.values[self.values.len() - 1];
        let call = self.builder.ins().call_indirect(signature, host, &[self.context, depth, value]);
        let result = self.builder.inst_results(call)[0];
        self.values.push(result);
    }

    /// Ends the block with a tail call.
    pub fn tail_call(&mut self, callee: usize, indirect: bool) {
        let arguments = self.arguments(callee);
        let function = self.callee(callee);
        match indirect {
            false => self.builder.ins().return_call(function, &arguments),
            true => {
                let address = self.builder.ins().func_addr(types::I64, function);
                let signature = self.builder.import_signature(self.shapes[callee].signature());
                self.builder.ins().return_call_indirect(signature, address, &arguments)
            }
        };
    }

    /// Ends the block with a return that depends on all values, so that all stay alive.
    pub fn finish(&mut self) {
        let mut sum = self.values[0];
        for &value in &self.values[1..] {
            sum = self.builder.ins().bxor(sum, value);
        }
        self.builder.ins().return_(&[sum]);
    }

    /// Seven ways on, of which one returns, through a jump table.
    pub fn switch(&mut self, selector: Value) {
        let join = self.builder.create_block();
        let result = self.builder.append_block_param(join, types::I64);
        let blocks: Vec<Block> = (0..7).map(|_| self.builder.create_block()).collect();
        let selector = self.builder.ins().band_imm(selector, 15);
        let selector = self.builder.ins().ireduce(types::I32, selector);
        let calls: Vec<BlockCall> = blocks[1..]
            .iter()
            .map(|&block| BlockCall::new(block, &[], &mut self.builder.func.dfg.value_lists))
            .collect();
        let default = BlockCall::new(blocks[0], &[], &mut self.builder.func.dfg.value_lists);
        let table = self.builder.create_jump_table(JumpTableData::new(default, &calls));
        self.builder.ins().br_table(selector, table);
        for (number, block) in blocks.into_iter().enumerate() {
            self.builder.switch_to_block(block);
            if number == 3 {
                self.finish();
                continue;
            }
            let last = self.values[self.values.len() - 1];
            let value = self.builder.ins().imul_imm(last, number as i64 * 77 + 5);
            self.builder.ins().jump(join, &[value]);
        }
        self.builder.switch_to_block(join);
        self.values.push(result);
    }

    /// A loop of a few turns.
    pub fn repeat(&mut self, turns: i64, statement: impl FnOnce(&mut Self)) {
        let (head, exit) = (self.builder.create_block(), self.builder.create_block());
        let count = self.builder.append_block_param(head, types::I64);
        let start = self.builder.ins().iconst(types::I64, turns);
        self.builder.ins().jump(head, &[start]);
        self.builder.switch_to_block(head);
        let known = self.values.len();
        statement(self);
        self.values.truncate(known);
        let less = self.builder.ins().iadd_imm(count, -1);
        self.builder.ins().brif(less, head, &[less], exit, &[]);
        self.builder.switch_to_block(exit);
    }

    pub fn slot_round_trip(&mut self, random: &mut Random) {
        let Some(slot) = self.slot else { return };
        let offset = random.below((self.slot_size / 8) as usize) as i32 * 8;
        let value = self.values[random.below(self.values.len())];
        self.builder.ins().stack_store(value, slot, offset);
        let loaded = self.builder.ins().stack_load(types::I64, slot, offset);
        self.values.push(loaded);
    }

    /// Bytes that look like the end of a frame (`mov rsp, rbp; pop rbp; ret`) as an immediate.
    pub fn bait(&mut self) {
        let constant = 0x00c3_5dec_8948_u64;
        let last = self.values[self.values.len() - 1];
        let bait = self.builder.ins().iconst(types::I64, (constant << 16) as i64 | 0x1234);
        let sum = self.builder.ins().iadd(last, bait);
        self.values.push(sum);
    }

    /// A floating-point constant of the same bytes, which lies after the code.
    pub fn constant_bait(&mut self) {
        let mut bytes = [0u8; 16];
        bytes[3..9].copy_from_slice(&[0x48, 0x89, 0xec, 0x5d, 0x90, 0x90]);
        bytes[9..15].copy_from_slice(&[0x48, 0x89, 0xec, 0x5d, 0xc3, 0x90]);
        let constant = self.builder.func.dfg.constants.insert(bytes.as_slice().into());
        let vector = self.builder.ins().vconst(types::I64X2, constant);
        let last = self.values[self.values.len() - 1];
        let splat = self.builder.ins().splat(types::I64X2, last);
        let sum = self.builder.ins().iadd(vector, splat);
        let lane = self.builder.ins().extractlane(sum, 1);
        self.values.push(lane);
    }

    /// Ends the block with a branch that depends on `condition`.
    pub fn branch(&mut self, condition: Value, then: Block, otherwise: Block) {
        self.builder.ins().brif(condition, then, &[], otherwise, &[]);
    }

    /// Ends the block with a trap.
    pub fn trap(&mut self) {
        self.builder.ins().trap(TrapCode::User(3));
    }

    /// A trap that never happens, out of line.
    pub fn guard(&mut self) {
        let last = self.values[self.values.len() - 1];
        let odd = self.builder.ins().bor_imm(last, 1);
        self.builder.ins().trapz(odd, TrapCode::User(1));
    }

    /// A trap in a block of its own.
    pub fn dead_end(&mut self) {
        let (dead, alive) = (self.builder.create_block(), self.builder.create_block());
        let last = self.values[self.values.len() - 1];
        let odd = self.builder.ins().bor_imm(last, 1);
        self.builder.ins().brif(odd, alive, &[], dead, &[]);
        self.builder.switch_to_block(dead);
        self.builder.set_cold_block(dead);
        self.builder.ins().trap(TrapCode::User(2));
        self.builder.switch_to_block(alive);
    }
}

/// A module of random functions that call each other to a depth given at run time. Function 0 is a
/// System V function of one parameter besides context and depth, to call from outside.
pub fn random_functions(seed: u64, count: usize) -> (Vec<Shape>, Vec<Function>) {
    let mut random = Random::new(seed);
    let mut shapes = vec![Shape::new(CallConv::SystemV, 1)];
    while shapes.len() < count {
        let conv = match random.one_in(5) {
            true => CallConv::SystemV,
            false => CallConv::Tail,
        };
        shapes.push(Shape {
            conv,
            extra: random.below(14),
            slot: [0, 0, 16, 128, 264, 4000, 5000, 20_000, 70_000][random.below(9)],
            stack_limit: random.one_in(2),
        });
    }
    let tails: Vec<usize> = (0..count).filter(|&index| shapes[index].conv == CallConv::Tail).collect();
    let functions = (0..count)
        .map(|index| {
            function(&shapes, index, |body| {
                let leaf = index != 0 && random.one_in(6);
                let mut calls = 0;
                if !leaf {
                    body.return_at_the_bottom();
                }
                if index == 0 {
                    for _ in 0..4 {
                        body.call(1 + random.below(count - 1), false);
                    }
                    return body.finish();
                }
                for _ in 0..1 + random.below(10) {
                    match random.below(10) {
                        0 | 1 => {
                            let left = body.values[random.below(body.values.len())];
                            let right = body.values[random.below(body.values.len())];
                            let sum = body.builder.ins().isub(left, right);
                            body.values.push(sum);
                        }
                        2 => body.slot_round_trip(&mut random),
                        3 | 4 if !leaf && calls < 2 => {
                            calls += 1;
                            match random.one_in(8) {
                                true => body.call_host(),
                                false => body.call(1 + random.below(count - 1), random.one_in(4)),
                            }
                        }
                        5 => {
                            let selector = body.values[random.below(body.values.len())];
                            body.switch(selector);
                        }
                        6 => body.guard(),
                        7 => body.dead_end(),
                        8 => match random.one_in(2) {
                            true => body.bait(),
                            false => body.constant_bait(),
                        },
                        _ => body.repeat(3, |body| {
                            let value = body.values[0];
                            let product = body.builder.ins().imul_imm(value, 3);
                            body.values.push(product);
                            body.guard();
                        }),
                    }
                }
                let conv = shapes[index].conv;
                if conv == CallConv::Tail && !leaf && !tails.is_empty() && !random.one_in(3) {
                    body.tail_call(tails[random.below(tails.len())], random.one_in(3));
                } else {
                    body.finish();
                }
            })
        })
        .collect();
    (shapes, functions)
}

/// [`random_functions`], compiled.
pub fn random_module(seed: u64, count: usize, opt_level: &str) -> Module {
    let isa = target("x86_64-unknown-linux-gnu", opt_level);
    Module::compile(&*isa, random_functions(seed, count).1)
}
