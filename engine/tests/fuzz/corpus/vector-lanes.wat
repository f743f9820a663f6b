;; Variables that hold lanes of a vector, which are stored out of it.
(module (memory (export "memory") 1)
 (func (export "lanes") (result i32) (local $v v128) (local $sum i32) (local $narrow i32) (local $wide i64)
  (i32.store (i32.const 64) (i32.const 3))
  (local.set $v (i32x4.splat (i32.load (i32.const 64))))
  (local.set $narrow (i32x4.extract_lane 1 (local.get $v)))
  (local.set $sum (i32.add (local.get $sum) (local.get $narrow)))
  (local.set $wide (i64x2.extract_lane 1 (local.get $v)))
  (i32.add (local.get $sum) (i32.wrap_i64 (local.get $wide)))))
