//! Single-steps the compiled code and keeps the shadow stack.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::process::Command;

use libc::{pid_t, user_regs_struct};
use unwind::{Lookup, Registers, RowCache, StepError, Unwinder};

use crate::image::{Flow, Image, Interface, Place, SAVED};
use crate::tracee::{Stop, Tracee};

/// What happened.
#[derive(Default)]
pub struct Summary {
    pub steps: u64,
    pub wrong: u64,
    functions_entered: u64,
    tail_calls: u64,
    host_calls: u64,
    signals: u64,
    deepest: usize,
    images: u64,
    walks: u64,
    frames_walked: u64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} steps, {} wrong; {} functions entered, {} tail calls, {} host calls, {} signals, \
             {} frames deep, {} images, {} frames in {} walks",
            self.steps,
            self.wrong,
            self.functions_entered,
            self.tail_calls,
            self.host_calls,
            self.signals,
            self.deepest,
            self.images,
            self.frames_walked,
            self.walks
        )
    }
}

/// What was true when a function was entered.
struct Frame {
    /// The stack pointer.
    entry: u64,
    return_address: u64,
    saved: [u64; 6],
    /// A host frame lies between this and the one before.
    from_host: bool,
}

#[derive(Default)]
struct Thread {
    stack: Vec<Frame>,
    /// In compiled code, instruction by instruction.
    stepping: bool,
    /// The instruction that was stepped last.
    last: Option<Place>,
    /// A breakpoint that was taken out for one step.
    lifted: Option<u64>,
}

struct Stepper {
    tracee: Tracee,
    interface: Interface,
    /// By the address of their files.
    images: HashMap<u64, Image>,
    /// Bytes that breakpoints replace.
    breakpoints: HashMap<u64, u8>,
    threads: HashMap<pid_t, Thread>,
    cache: RowCache,
    summary: Summary,
    walk_every: u64,
}

fn saved_registers(registers: &user_regs_struct) -> [u64; 6] {
    [registers.rbx, registers.rbp, registers.r12, registers.r13, registers.r14, registers.r15]
}

/// Runs the command to its end, or to so many steps.
pub fn run(command: &mut Command, max_steps: u64, walk_every: u64) -> io::Result<Summary> {
    let tracee = Tracee::start(command)?;
    let interface = Interface::find(&tracee)?;
    let main = tracee.pid;
    let mut stepper = Stepper {
        tracee,
        interface,
        images: HashMap::new(),
        breakpoints: HashMap::new(),
        threads: HashMap::from([(main, Thread::default())]),
        cache: RowCache::new(),
        summary: Summary::default(),
        walk_every,
    };
    stepper.set_breakpoint(stepper.interface.register_code)?;
    stepper.tracee.go_on(main, 0)?;
    while stepper.summary.steps < max_steps {
        let (tid, stop) = stepper.tracee.wait()?;
        match stop {
            Stop::Gone => {
                stepper.threads.remove(&tid);
                if tid == main {
                    return Ok(stepper.summary);
                }
            }
            Stop::Event => stepper.resume(tid, 0)?,
            Stop::Signal(libc::SIGTRAP) => stepper.trapped(tid)?,
            Stop::Signal(libc::SIGSTOP) if !stepper.threads.contains_key(&tid) => {
                stepper.threads.insert(tid, Thread::default());
                stepper.tracee.go_on(tid, 0)?;
            }
            Stop::Signal(signal) => {
                // The handler is host code. Where it leaves to is found at the next breakpoint.
                let stepping = stepper.threads.get(&tid).is_some_and(|thread| thread.stepping);
                stepper.summary.signals += u64::from(stepping);
                stepper.leave(tid)?;
                stepper.tracee.go_on(tid, signal)?;
            }
        }
    }
    stepper.tracee.kill();
    Ok(stepper.summary)
}

impl Stepper {
    fn set_breakpoint(&mut self, address: u64) -> io::Result<()> {
        if !self.breakpoints.contains_key(&address) {
            let mut byte = [0];
            self.tracee.read(address, &mut byte)?;
            self.tracee.write(address, &[0xcc])?;
            self.breakpoints.insert(address, byte[0]);
        }
        Ok(())
    }

    /// Puts back the breakpoint that was taken out for a step.
    fn lower(&mut self, tid: pid_t) -> io::Result<()> {
        if let Some(address) = self.threads.entry(tid).or_default().lifted.take()
            && self.breakpoints.contains_key(&address)
        {
            self.tracee.write(address, &[0xcc])?;
        }
        Ok(())
    }

    fn leave(&mut self, tid: pid_t) -> io::Result<()> {
        self.lower(tid)?;
        let thread = self.threads.entry(tid).or_default();
        thread.stepping = false;
        thread.last = None;
        Ok(())
    }

    fn resume(&mut self, tid: pid_t, signal: i32) -> io::Result<()> {
        match self.threads.get(&tid) {
            Some(thread) if thread.stepping => self.tracee.step(tid),
            _ => self.tracee.go_on(tid, signal),
        }
    }

    /// Executes the instruction at `pc`, whatever breakpoint is there.
    fn step(&mut self, tid: pid_t, pc: u64) -> io::Result<()> {
        if let Some(&byte) = self.breakpoints.get(&pc) {
            self.tracee.write(pc, &[byte])?;
            self.threads.entry(tid).or_default().lifted = Some(pc);
        }
        self.tracee.step(tid)
    }

    fn image_of(&mut self, pc: u64) -> Option<&mut Image> {
        self.images.values_mut().find(|image| image.contains(pc))
    }

    /// A step is done, or a breakpoint was hit.
    fn trapped(&mut self, tid: pid_t) -> io::Result<()> {
        let mut registers = self.tracee.registers(tid)?;
        let thread = self.threads.entry(tid).or_default();
        let was_lifted = thread.lifted.is_some();
        let stepping = thread.stepping;
        self.lower(tid)?;
        if stepping {
            return self.stepped(tid, registers);
        }
        let at = registers.rip.wrapping_sub(1);
        if was_lifted || !self.breakpoints.contains_key(&at) {
            return match was_lifted {
                true => self.tracee.go_on(tid, 0),
                // A trap of the program's own.
                false => self.tracee.go_on(tid, libc::SIGTRAP),
            };
        }
        registers.rip = at;
        self.tracee.set_registers(tid, &registers)?;
        if at == self.interface.register_code {
            self.registered()?;
            return self.step(tid, at);
        }
        let is_start = self.image_of(at).is_some_and(|image| image.functions.contains(&at));
        let thread = self.threads.entry(tid).or_default();
        // Frames that were left without a return (a trap, a longjmp) are below.
        while thread.stack.last().is_some_and(|frame| frame.entry <= registers.rsp) {
            thread.stack.pop();
        }
        if is_start {
            self.enter(tid, &registers, true)?;
        }
        let thread = self.threads.entry(tid).or_default();
        thread.stepping = !thread.stack.is_empty();
        match thread.stepping {
            true => self.check_and_step(tid, registers),
            false => self.step(tid, at),
        }
    }

    /// Reads what the process has registered or taken back.
    fn registered(&mut self) -> io::Result<()> {
        let descriptor = self.interface.descriptor;
        let action = self.tracee.read_word(descriptor)? >> 32;
        let entry = self.tracee.read_word(descriptor + 8)?;
        let file = self.tracee.read_word(entry + 16)?;
        let size = self.tracee.read_word(entry + 24)?;
        self.cache.clear();
        if let Some(old) = self.images.remove(&file) {
            self.breakpoints.retain(|&address, _| !old.contains(address));
        }
        if action == 1 {
            let image = match Image::read(&self.tracee, file, size) {
                Ok(image) => image,
                Err(error) => {
                    // Images without code (say, of types alone) are none of our business.
                    eprintln!("step-check: image at {file:#x} is passed over: {error}");
                    return Ok(());
                }
            };
            self.summary.images += 1;
            for &start in &image.functions {
                self.set_breakpoint(start)?;
            }
            eprintln!("step-check: {} with {} functions", image.name, image.functions.len());
            self.images.insert(file, image);
        }
        Ok(())
    }

    fn enter(&mut self, tid: pid_t, registers: &user_regs_struct, from_host: bool) -> io::Result<()> {
        let frame = Frame {
            entry: registers.rsp,
            return_address: self.tracee.read_word(registers.rsp)?,
            saved: saved_registers(registers),
            from_host,
        };
        let thread = self.threads.entry(tid).or_default();
        thread.stack.push(frame);
        self.summary.deepest = self.summary.deepest.max(thread.stack.len());
        self.summary.functions_entered += 1;
        Ok(())
    }

    /// Follows what the last instruction did to the stack of frames.
    fn stepped(&mut self, tid: pid_t, registers: user_regs_struct) -> io::Result<()> {
        let pc = registers.rip;
        let Some(last) = self.threads.entry(tid).or_default().last.take() else {
            self.leave(tid)?;
            return self.tracee.go_on(tid, 0);
        };
        let inside = self.image_of(pc).is_some();
        match last.flow {
            Flow::Call if inside => self.enter(tid, &registers, false)?,
            Flow::Call => {
                self.summary.host_calls += 1;
                if self.image_of(last.next).is_some() {
                    self.set_breakpoint(last.next)?;
                }
            }
            Flow::Return => {
                if let Some(frame) = self.threads.entry(tid).or_default().stack.pop()
                    && frame.return_address != pc
                {
                    self.wrong(pc, format!("returned to {pc:#x}, not to {:#x}", frame.return_address));
                }
            }
            Flow::Jump => {
                let is_start = self.image_of(pc).is_some_and(|image| image.functions.contains(&pc));
                if is_start || !inside {
                    let from = self.threads.entry(tid).or_default().stack.pop();
                    self.summary.tail_calls += 1;
                    if let Some(from) = from {
                        let return_address = self.tracee.read_word(registers.rsp)?;
                        if return_address != from.return_address || saved_registers(&registers) != from.saved {
                            self.wrong(pc, "a tail call that does not restore the caller's frame".to_owned());
                        }
                        if is_start {
                            self.enter(tid, &registers, from.from_host)?;
                        } else if self.image_of(return_address).is_some() {
                            self.set_breakpoint(return_address)?;
                        }
                    }
                }
            }
            Flow::Next => {}
        }
        if !inside || self.threads.entry(tid).or_default().stack.is_empty() {
            self.leave(tid)?;
            return match self.breakpoints.contains_key(&pc) && inside {
                true => self.step(tid, pc),
                false => self.tracee.go_on(tid, 0),
            };
        }
        self.check_and_step(tid, registers)
    }

    fn check_and_step(&mut self, tid: pid_t, registers: user_regs_struct) -> io::Result<()> {
        let pc = registers.rip;
        self.summary.steps += 1;
        let place = self.image_of(pc).and_then(|image| image.place(pc));
        match &place {
            Some(place) => self.judge(tid, &registers, place),
            None => self.wrong(pc, "no usable row".to_owned()),
        }
        let thread = self.threads.entry(tid).or_default();
        thread.last = place;
        if thread.last.is_none() {
            self.leave(tid)?;
        }
        self.step(tid, pc)
    }

    fn wrong(&mut self, pc: u64, what: String) {
        /// Enough to find the reason.
        const SHOWN: u64 = 50;
        self.summary.wrong += 1;
        if self.summary.wrong > SHOWN {
            return;
        }
        let place = self.image_of(pc).and_then(|image| {
            let (start, name) = (*image.functions.range(..=pc).next_back()?, &image.names);
            Some(format!("{}+{:#x}", name.get(&start)?, pc - start))
        });
        eprintln!("step-check: {pc:#x} {}: {what}", place.unwrap_or_default());
    }

    /// Evaluates the row in the present state.
    fn judge(&mut self, tid: pid_t, registers: &user_regs_struct, place: &Place) {
        /// Most of what rows name is near the stack pointer: read in one go.
        const BELOW: u64 = 128;
        let mut window = [0; 1024];
        let bottom = registers.rsp.wrapping_sub(BELOW);
        let length = self.tracee.read_some(bottom, &mut window);
        let tracee = &self.tracee;
        let read = |address: u64| {
            let offset = address.wrapping_sub(bottom);
            match usize::try_from(offset).ok().filter(|offset| offset + 8 <= length) {
                Some(offset) => window[offset..offset + 8].try_into().ok().map(u64::from_le_bytes),
                None => tracee.read_word(address).ok(),
            }
        };
        let Some(thread) = self.threads.get(&tid) else { return };
        let Some(frame) = thread.stack.last() else { return };
        let mut complaints = Vec::new();

        let base = if place.cfa_is_rbp { registers.rbp } else { registers.rsp };
        let cfa = base.wrapping_add_signed(place.cfa_offset);
        let truth = frame.entry.wrapping_add(8);
        if cfa != truth {
            complaints.push(format!("CFA {cfa:#x}, is {truth:#x}"));
        }
        let return_address = read(cfa.wrapping_add_signed(place.return_address));
        if return_address != Some(frame.return_address) {
            complaints.push(format!("return address {return_address:x?}, is {:#x}", frame.return_address));
        }
        let now = saved_registers(registers);
        for index in 0..SAVED.len() {
            let value = match place.saved[index] {
                None => Some(now[index]),
                Some(offset) => read(cfa.wrapping_add_signed(offset)),
            };
            if value != Some(frame.saved[index]) {
                let (register, truth) = (SAVED[index], frame.saved[index]);
                complaints.push(format!("register {register} {value:x?}, is {truth:#x}"));
            }
        }
        if self.summary.steps.is_multiple_of(self.walk_every) {
            let image = self.images.values().find(|image| image.contains(registers.rip));
            let walked = image.map(|image| walk(image, &mut self.cache, registers, &thread.stack, read));
            match walked {
                Some(Ok(frames)) => {
                    self.summary.walks += 1;
                    self.summary.frames_walked += frames;
                }
                Some(Err(complaint)) => complaints.push(complaint),
                None => {}
            }
        }
        if !complaints.is_empty() {
            self.wrong(registers.rip, complaints.join("; "));
        }
    }
}

/// Walks the chain of frames with the crate's unwinder, to the host's.
fn walk(
    image: &Image,
    cache: &mut RowCache,
    registers: &user_regs_struct,
    stack: &[Frame],
    mut read: impl FnMut(u64) -> Option<u64>,
) -> Result<u64, String> {
    let unwinder = Unwinder::new(&image.eh_frame, &image.eh_frame_hdr, image.at).map_err(|error| error.to_string())?;
    let mut frame = Registers {
        rip: registers.rip,
        rsp: registers.rsp,
        rbp: registers.rbp,
        rbx: registers.rbx,
        r12: registers.r12,
        r13: registers.r13,
        r14: registers.r14,
        r15: registers.r15,
    };
    let mut lookup = Lookup::Instruction;
    let mut frames = 0;
    for truth in stack.iter().rev() {
        let caller = match unwinder.step(cache, &frame, lookup, &mut read) {
            Ok(caller) => caller,
            Err(StepError::NoRow(_)) if frames > 0 => return Ok(frames),
            Err(error) => return Err(format!("walk, frame {frames}: {error}")),
        };
        let saved = [caller.rbx, caller.rbp, caller.r12, caller.r13, caller.r14, caller.r15];
        if caller.rip != truth.return_address || saved != truth.saved {
            return Err(format!("walk, frame {frames}: pc {:#x}, is {:#x}", caller.rip, truth.return_address));
        }
        // Outer frames are at a call, so their CFA is that of a frame without a tail call since.
        if frames == 0 && caller.rsp != truth.entry.wrapping_add(8) {
            return Err(format!("walk, frame {frames}: CFA {:#x}", caller.rsp));
        }
        frames += 1;
        if truth.from_host {
            break;
        }
        frame = caller;
        lookup = Lookup::ReturnAddress;
    }
    Ok(frames)
}
