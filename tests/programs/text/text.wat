(module
  (memory (export "memory") 1)
  (global $counter (mut i32) (i32.const 7))
  (global i64 (i64.const 99))
  (func $square (param $x i32) (result i32)
    (local $y i64) (local f64)
    local.get $x
    local.get $x
    i32.mul
    global.get $counter
    i32.add
    (local.set $y (i64.const 5))
    (local.set 2 (f64.const 2.5))
    global.set $counter
    global.get $counter)
  (func (export "_start")
    (drop (call $square (i32.const 12)))
    (drop (call $square (i32.const 3)))))
