//! The code generator's own instructions at the begin of a block, such as loads of what was spilled: they lead to the code
//! behind them, and have nothing to do with what lies before them.

use super::anchors::Flow;
use super::function::{CompiledFunction, Row};

/// Finds the rows without an operator that begin a block from which control goes on to the next row only. What a call returns
/// to belongs to the call.
pub(super) fn find(function: &mut CompiledFunction, flow: &Flow) {
    let mut rows: Vec<Row> = Vec::with_capacity(function.rows.len());
    let mut following = function.rows.iter().skip(1);
    for &row in &function.rows {
        let next = following.next().filter(|next| row.wasm.is_none() && next.wasm.is_some());
        rows.push(row);
        let Some(next) = next else { continue };
        let behind = function.basic_blocks.partition_point(|block| *block < next.start);
        let block = behind.checked_sub(1).map(|last| function.basic_blocks[last]);
        let Some(block) = block.filter(|block| *block >= row.start) else { continue };
        let goes_on = function.basic_blocks.get(behind) != Some(&next.start) || flow.leads_only(block, next.start);
        // The edges of blocks without code may be those of the next one.
        if !goes_on || jumps_before(&function.code, next.start) || flow.is_returned_to(block) {
            continue;
        }
        // What comes before is the end of another block.
        if block > row.start {
            rows.push(Row { start: block, ..row });
        }
        function.leading.push(block);
    }
    function.rows = rows;
}

/// Where blocks begin that control does not go on to from the code before, and to which no call returns.
pub(super) fn apart(function: &CompiledFunction, flow: &Flow) -> Vec<u32> {
    let is_apart = |pair: &&[u32]| {
        let ends = !flow.leads(pair[0], pair[1]) && !flow.is_returned_to(pair[1]);
        ends && (jumps_before(&function.code, pair[1]) || returns_or_traps_before(&function.code, pair[1]))
    };
    function.basic_blocks.windows(2).filter(is_apart).map(|pair| pair[1]).collect()
}

/// Does a jump lie before this address of x86-64 code, that does not lead to it?
pub(super) fn jumps_before(code: &[u8], address: u32) -> bool {
    const JUMP: u8 = 0xe9;
    let begin = (address as usize).checked_sub(5);
    let jump = begin.and_then(|begin| code.get(begin..address as usize));
    jump.is_some_and(|jump| jump[0] == JUMP && jump[1..] != [0; 4])
}

fn returns_or_traps_before(code: &[u8], address: u32) -> bool {
    const RETURN: u8 = 0xc3;
    let before = code.get(..address as usize).unwrap_or_default();
    before.ends_with(&[RETURN]) || before.ends_with(&super::UD2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(start: u32, wasm: Option<u32>) -> Row {
        Row { start, wasm, anchor: false }
    }

    fn leading(rows: &[(u32, Option<u32>)], blocks: &[u32], edges: &[(u32, u32)]) -> (Vec<u32>, Vec<u32>) {
        let mut function = CompiledFunction {
            rows: rows.iter().map(|&(start, wasm)| row(start, wasm)).collect(),
            basic_blocks: blocks.to_vec(),
            ..CompiledFunction::default()
        };
        find(&mut function, &Flow::new([30].into_iter(), edges));
        (function.leading, function.rows.iter().map(|row| row.start).collect())
    }

    #[test]
    fn code_at_the_begin_of_a_block_leads_to_what_follows() {
        let rows = [(0, Some(10)), (4, None), (8, Some(20))];
        assert_eq!(leading(&rows, &[0, 4], &[]), (vec![4], vec![0, 4, 8]));
        assert_eq!(leading(&rows, &[0], &[]), (vec![], vec![0, 4, 8]), "it belongs to the code before");
    }

    #[test]
    fn a_block_of_moves_leads_to_the_next_one_only_if_it_does_not_jump_away() {
        let rows = [(0, Some(10)), (4, None), (8, Some(20))];
        assert_eq!(leading(&rows, &[0, 4, 8], &[(0, 8), (4, 8)]).0, [4]);
        assert_eq!(
            leading(&rows, &[0, 4, 8], &[(4, 0), (4, 8)]).0,
            Vec::<u32>::new(),
            "another block without code begins there"
        );
        assert_eq!(leading(&rows, &[0, 4, 8], &[(0, 8), (4, 0)]).0, [0; 0]);
    }

    #[test]
    fn what_a_call_returns_to_belongs_to_the_call() {
        let rows = [(0, Some(10)), (30, None), (38, Some(20))];
        assert_eq!(leading(&rows, &[0, 30], &[]).0, [0; 0]);
    }

    #[test]
    fn the_end_of_the_block_before_stays_apart() {
        let rows = [(0, Some(10)), (4, None), (8, Some(20))];
        assert_eq!(leading(&rows, &[0, 6], &[]), (vec![6], vec![0, 4, 6, 8]));
    }
}
