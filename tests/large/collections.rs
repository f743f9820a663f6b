// The standard library's collections, strings, sorting and formatting.
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, VecDeque};
use std::fmt::Write;

const TEXT: &str = "the quick brown fox jumps over the lazy dog while the other fox sleeps under the brown tree";

fn main() {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    TEXT.split(' ').for_each(|word| *counts.entry(word).or_default() += 1);
    let mut words: Vec<_> = counts.into_iter().collect();
    words.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    println!("{:?}", &words[..4]);

    let by_length = TEXT.split(' ').fold(BTreeMap::<usize, BTreeSet<&str>>::new(), |mut map, word| {
        map.entry(word.len()).or_default().insert(word);
        map
    });
    println!("{by_length:#?}");

    let mut state = 12345u32;
    let mut heap: BinaryHeap<u32> = (0..2000)
        .map(|_| {
            state = state.wrapping_mul(1664525).wrapping_add(1013904223);
            state >> 8
        })
        .collect();
    let top: Vec<_> = std::iter::from_fn(|| heap.pop()).take(5).collect();
    println!("{top:?} {}", heap.len());

    let mut queue: VecDeque<(u64, u64)> = VecDeque::from([(0, 1)]);
    for _ in 0..60 {
        let (a, b) = queue.pop_front().unwrap();
        queue.push_back((b, a + b));
    }
    println!("{queue:?}");

    let mut line = String::new();
    for value in [0.1f64, 1e300, -0.0, f64::NAN, 2.0f64.sqrt(), 123456.789] {
        write!(line, "{value:>12.4e}|").unwrap();
    }
    println!(
        "{line} {:?} {:?}",
        "héllo wörld".to_uppercase(),
        "1,2,x".split(',').map(str::parse::<i32>).collect::<Vec<_>>()
    );
}
