//! The unwinder: right on good tables, harmless on bad ones.

mod common;

use common::{Module, Random, TEXT, random_module};
use gimli::{BaseAddresses, CfaRule, EhFrame, LittleEndian, RegisterRule, UnwindContext, UnwindSection};
use unwind::{Lookup, Registers, RowCache, SectionAddresses, StepError, Unwinder, eh_frame_hdr_of, rebase_eh_frame};

struct Sections {
    module: Module,
    at: SectionAddresses,
    eh_frame: Vec<u8>,
    eh_frame_hdr: Vec<u8>,
}

fn sections(seed: u64) -> Sections {
    let module = random_module(seed, 50, "speed");
    let at = module.addresses();
    let table = module.table();
    Sections { eh_frame: table.eh_frame(at).unwrap(), eh_frame_hdr: table.eh_frame_hdr(at).unwrap(), module, at }
}

/// Memory in which every word is different.
fn word_at(address: u64) -> u64 {
    address.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17)
}

fn registers(rip: u64) -> Registers {
    let mut random = Random::new(rip);
    let mut value = || 0x7000_0000_0000 + random.next() % 0x1000_0000 * 8;
    Registers { rip, rsp: value(), rbp: value(), rbx: value(), r12: value(), r13: value(), r14: value(), r15: value() }
}

/// The same step with gimli.
fn step_with_gimli(sections: &Sections, frame: &Registers) -> Registers {
    let section = EhFrame::new(&sections.eh_frame, LittleEndian);
    let bases = BaseAddresses::default().set_eh_frame(sections.at.eh_frame);
    let fde = section.fde_for_address(&bases, frame.rip, EhFrame::cie_from_offset).unwrap();
    let mut context = UnwindContext::new();
    let row = fde.unwind_info_for_address(&section, &bases, &mut context, frame.rip).unwrap();
    let &CfaRule::RegisterAndOffset { register, offset } = row.cfa() else { panic!("an expression") };
    let base = if register.0 == 6 { frame.rbp } else { frame.rsp };
    let cfa = base.wrapping_add_signed(offset);
    let value = |register: u16, current: u64| match row.register(gimli::Register(register)) {
        None => current,
        Some(RegisterRule::Offset(offset)) => word_at(cfa.wrapping_add_signed(offset)),
        Some(other) => panic!("{other:?}"),
    };
    Registers {
        rip: value(16, 0),
        rsp: cfa,
        rbp: value(6, frame.rbp),
        rbx: value(3, frame.rbx),
        r12: value(12, frame.r12),
        r13: value(13, frame.r13),
        r14: value(14, frame.r14),
        r15: value(15, frame.r15),
    }
}

#[test]
fn agrees_with_gimli_at_every_address() {
    let sections = sections(5);
    let unwinder = Unwinder::new(&sections.eh_frame, &sections.eh_frame_hdr, sections.at).unwrap();
    let mut cache = RowCache::new();
    for range in sections.module.ranges() {
        for pc in range {
            let frame = registers(pc);
            let expected = step_with_gimli(&sections, &frame);
            for _ in ["cold", "warm"] {
                let found = unwinder.step(&mut cache, &frame, Lookup::Instruction, |address| Some(word_at(address)));
                assert_eq!(found, Ok(expected), "at {pc:#x}");
            }
        }
    }
}

#[test]
fn pcs_outside_all_functions_have_no_row() {
    let sections = sections(6);
    let unwinder = Unwinder::new(&sections.eh_frame, &sections.eh_frame_hdr, sections.at).unwrap();
    let ranges = sections.module.ranges();
    let end = ranges.last().unwrap().end;
    let mut outside = vec![0, 1, TEXT - 1, end, end + 1, u64::MAX, u64::MAX / 2];
    for pair in ranges.windows(2) {
        outside.extend(pair[0].end..pair[1].start);
    }
    for pc in outside {
        let step = unwinder.step(&mut RowCache::new(), &registers(pc), Lookup::Instruction, |_| Some(0));
        assert_eq!(step, Err(StepError::NoRow(pc)));
    }
}

#[test]
fn a_return_address_is_looked_up_at_its_call() {
    let sections = sections(7);
    let unwinder = Unwinder::new(&sections.eh_frame, &sections.eh_frame_hdr, sections.at).unwrap();
    let last = sections.module.ranges().last().unwrap().clone();
    let mut frame = registers(last.end);
    // In bounds for a frame whose CFA is above its stack pointer by either register.
    frame.rbp = frame.rsp + 64;
    let step = |lookup| unwinder.step(&mut RowCache::new(), &frame, lookup, |_| Some(1)).map(|_| ());
    assert_eq!(step(Lookup::Instruction), Err(StepError::NoRow(last.end)));
    assert_eq!(step(Lookup::ReturnAddress), Ok(()));
}

#[test]
fn only_what_the_closure_allows_is_read() {
    let sections = sections(8);
    let unwinder = Unwinder::new(&sections.eh_frame, &sections.eh_frame_hdr, sections.at).unwrap();
    for range in sections.module.ranges() {
        for pc in range.step_by(7) {
            let mut asked = Vec::new();
            let step = unwinder.step(&mut RowCache::new(), &registers(pc), Lookup::Instruction, |address| {
                asked.push(address);
                None
            });
            // The first refusal is the end.
            assert_eq!(asked.len(), 1);
            assert_eq!(step, Err(StepError::Unreadable(asked[0])));
        }
    }
}

#[test]
fn hostile_stacks_end() {
    let sections = sections(9);
    let unwinder = Unwinder::new(&sections.eh_frame, &sections.eh_frame_hdr, sections.at).unwrap();
    let text = sections.module.text.len() as u64;
    let mut random = Random::new(1);
    let mut cache = RowCache::new();
    const BOTTOM: u64 = 0x7fff_0000_0000;
    const WORDS: u64 = 4096;
    for _ in 0..2000 {
        // Every word is a return address into the text, a pointer into the stack or one back to where
        // the walk came from.
        let mut reads = 0u64;
        let frame = Registers {
            rip: TEXT + random.next() % text,
            rsp: BOTTOM + random.next() % WORDS * 8,
            rbp: BOTTOM + random.next() % WORDS * 8,
            ..registers(1)
        };
        let count = unwinder
            .frames(&mut cache, frame, |address| {
                reads += 1;
                (BOTTOM..BOTTOM + WORDS * 8).contains(&address).then(|| match random.below(3) {
                    0 => BOTTOM + random.next() % WORDS * 8,
                    _ => TEXT + random.next() % text,
                })
            })
            .count() as u64;
        // The stack pointer rises with each frame but the first.
        assert!(count <= WORDS + 2, "{count} frames");
        assert!(reads <= 7 * (count + 1));
    }
}

/// A pc whose row finds the frame by rbp: of the function's middle, where it is in the index.
fn pcs_with_frame_pointers(sections: &Sections) -> Vec<u64> {
    let unwinder = Unwinder::new(&sections.eh_frame, &sections.eh_frame_hdr, sections.at).unwrap();
    let cfa = |rip, rbp| {
        let frame = Registers { rbp, ..registers(rip) };
        unwinder.step(&mut RowCache::new(), &frame, Lookup::Instruction, |_| Some(0)).map(|caller| caller.rsp)
    };
    let pcs: Vec<u64> =
        sections.module.ranges().into_iter().flatten().filter(|&pc| cfa(pc, 0x1000) == Ok(0x1010)).collect();
    assert!(pcs.len() > 1000);
    pcs
}

#[test]
fn cyclic_chains_of_frame_pointers_end() {
    let sections = sections(13);
    let unwinder = Unwinder::new(&sections.eh_frame, &sections.eh_frame_hdr, sections.at).unwrap();
    let mut cache = RowCache::new();
    const FRAME: u64 = 0x7fff_0000_0000;
    for pc in pcs_with_frame_pointers(&sections).into_iter().step_by(3) {
        // A ring of frames that get higher, but for the last, which leads to the first.
        for length in 1..5 {
            let frame = Registers { rip: pc, rsp: FRAME - 64, rbp: FRAME, ..registers(pc) };
            let mut frames = unwinder.frames(&mut cache, frame, |address| {
                let distance = address.wrapping_sub(FRAME).cast_signed();
                let next = (distance.div_euclid(0x1000) + 1).rem_euclid(length as i64) as u64;
                Some(match distance.rem_euclid(0x1000) {
                    0 => FRAME + next * 0x1000,
                    8 => pc + 1,
                    _ => 0,
                })
            });
            assert_eq!(frames.by_ref().count() as u64, length + 1, "at {pc:#x}");
            let highest = FRAME + (length - 1) * 0x1000 + 16;
            assert_eq!(frames.end(), Some(StepError::NoProgress { cfa: FRAME + 16, rsp: highest }));
        }
    }
}

#[test]
fn frames_below_their_callee_are_refused() {
    let sections = sections(14);
    let unwinder = Unwinder::new(&sections.eh_frame, &sections.eh_frame_hdr, sections.at).unwrap();
    for pc in pcs_with_frame_pointers(&sections).into_iter().step_by(3) {
        let rsp = 0x7000_0000_0000;
        for below in [16, 24, 4096, rsp - 16] {
            let frame = Registers { rip: pc + 1, rsp, rbp: rsp - below, ..registers(pc) };
            let mut reads = 0;
            let step = unwinder.step(&mut RowCache::new(), &frame, Lookup::ReturnAddress, |_| {
                reads += 1;
                Some(0)
            });
            assert_eq!((step, reads), (Err(StepError::NoProgress { cfa: rsp - below + 16, rsp }), 0));
        }
    }
}

#[test]
fn stack_pointers_may_be_anything() {
    let sections = sections(15);
    let unwinder = Unwinder::new(&sections.eh_frame, &sections.eh_frame_hdr, sections.at).unwrap();
    let mut cache = RowCache::new();
    for range in sections.module.ranges() {
        for pc in range.step_by(3) {
            // Not aligned, and at both ends of the address space.
            for (rsp, rbp) in
                [(0x7001, 0x7103), (3, u64::MAX - 2), (u64::MAX, 0), (u64::MAX - 7, u64::MAX), (1 << 63, 7)]
            {
                let frame = Registers { rsp, rbp, ..registers(pc) };
                let expected = step_with_gimli(&sections, &frame);
                let found = unwinder.step(&mut cache, &frame, Lookup::Instruction, |address| Some(word_at(address)));
                assert_eq!(found, Ok(expected), "at {pc:#x}");
            }
        }
    }
}

#[test]
fn any_read_may_be_refused() {
    let sections = sections(16);
    let unwinder = Unwinder::new(&sections.eh_frame, &sections.eh_frame_hdr, sections.at).unwrap();
    let mut cache = RowCache::new();
    let mut refused = [0; 7];
    for range in sections.module.ranges() {
        for pc in range.step_by(3) {
            for (limit, count) in refused.iter_mut().enumerate() {
                let mut asked = Vec::new();
                let step = unwinder.step(&mut cache, &registers(pc), Lookup::Instruction, |address| {
                    asked.push(address);
                    (asked.len() <= limit).then_some(0)
                });
                assert!(asked.len() <= limit + 1, "asked again after a refusal");
                if asked.len() > limit {
                    assert_eq!(step, Err(StepError::Unreadable(asked[limit])));
                    *count += 1;
                } else {
                    assert!(step.is_ok());
                }
            }
        }
    }
    assert!(refused.iter().all(|&count| count > 0), "{refused:?}");
}

#[test]
fn tables_with_damaged_lengths_are_harmless() {
    let sections = sections(17);
    let pcs: Vec<u64> = sections.module.ranges().into_iter().map(|range| range.end - 1).collect();
    // Each four bytes in turn as if a length, a distance or an address: none, one too small, huge.
    for at in (0..sections.eh_frame.len() - 4).step_by(2) {
        for value in [0u32, 3, 0x7fff_ffff, u32::MAX] {
            let mut eh_frame = sections.eh_frame.clone();
            eh_frame[at..at + 4].copy_from_slice(&value.to_le_bytes());
            let Ok(unwinder) = Unwinder::new(&eh_frame, &sections.eh_frame_hdr, sections.at) else { continue };
            let mut cache = RowCache::new();
            for &pc in &pcs {
                let _ =
                    unwinder.step(&mut cache, &registers(pc), Lookup::Instruction, |address| Some(word_at(address)));
            }
        }
    }
}

#[test]
fn truncated_sections_are_refused_or_harmless() {
    let sections = sections(10);
    let pcs: Vec<u64> = sections.module.ranges().into_iter().flat_map(|range| [range.start, range.end - 1]).collect();
    let use_them = |eh_frame: &[u8], eh_frame_hdr: &[u8]| {
        let Ok(unwinder) = Unwinder::new(eh_frame, eh_frame_hdr, sections.at) else { return };
        let mut cache = RowCache::new();
        for &pc in &pcs {
            let _ = unwinder.step(&mut cache, &registers(pc), Lookup::Instruction, |address| Some(word_at(address)));
        }
    };
    for length in 0..sections.eh_frame.len() {
        use_them(&sections.eh_frame[..length], &sections.eh_frame_hdr);
        let mut cut = sections.eh_frame[..length].to_vec();
        assert!(eh_frame_hdr_of(&cut, sections.at).is_err(), "cut at {length}");
        let elsewhere = SectionAddresses { text: sections.at.text + 16, ..sections.at };
        assert!(rebase_eh_frame(&mut cut, sections.at, elsewhere).is_err(), "cut at {length}");
    }
    for length in 0..sections.eh_frame_hdr.len() {
        let cut = &sections.eh_frame_hdr[..length];
        assert!(Unwinder::new(&sections.eh_frame, cut, sections.at).is_err(), "cut at {length}");
    }
}

#[test]
fn damaged_sections_are_harmless() {
    let sections = sections(11);
    let mut random = Random::new(2);
    let ranges = sections.module.ranges();
    for _ in 0..20_000 {
        let (mut eh_frame, mut eh_frame_hdr) = (sections.eh_frame.clone(), sections.eh_frame_hdr.clone());
        for _ in 0..1 + random.below(4) {
            let target = if random.one_in(3) { &mut eh_frame_hdr } else { &mut eh_frame };
            let at = random.below(target.len());
            target[at] = random.next() as u8;
        }
        let _ = eh_frame_hdr_of(&eh_frame, sections.at);
        let elsewhere = SectionAddresses { text: sections.at.text + random.next(), ..sections.at };
        let _ = rebase_eh_frame(&mut eh_frame.clone(), sections.at, elsewhere);
        let Ok(unwinder) = Unwinder::new(&eh_frame, &eh_frame_hdr, sections.at) else { continue };
        let mut cache = RowCache::new();
        for _ in 0..20 {
            let range = &ranges[random.below(ranges.len())];
            let pc = range.start + random.next() % (range.end - range.start);
            let _ = unwinder.step(&mut cache, &registers(pc), Lookup::Instruction, |address| Some(word_at(address)));
        }
    }
}

#[test]
fn a_moved_table_is_the_table_written_for_the_new_place() {
    let sections = sections(12);
    let table = sections.module.table();
    let mut moved = sections.eh_frame.clone();
    let to = SectionAddresses { text: 0x1234_5000, eh_frame: 0x5000_0000, eh_frame_hdr: 0x4fff_0000 };
    rebase_eh_frame(&mut moved, sections.at, to).unwrap();
    assert_eq!(moved, table.eh_frame(to).unwrap());
    assert_eq!(eh_frame_hdr_of(&moved, to).unwrap(), table.eh_frame_hdr(to).unwrap());

    let far = SectionAddresses { eh_frame: 0x5000_0000_0000, ..to };
    assert!(rebase_eh_frame(&mut moved, to, far).is_err());
    assert!(table.eh_frame(far).is_err());
}
