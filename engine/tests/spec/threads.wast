;; Message passing between two threads, of which one waits for the other.
(module $Mem (memory (export "shared") 1 1 shared))

(thread $T1 (shared (module $Mem))
  (register "mem" $Mem)
  (module
    (memory (import "mem" "shared") 1 1 shared)
    (func (export "send") (param i32) (result i32)
      (i32.atomic.store (i32.const 8) (local.get 0))
      (i32.atomic.store (i32.const 0) (i32.const 1))
      (memory.atomic.notify (i32.const 0) (i32.const 1)))
    (func (export "misaligned") (drop (i32.atomic.load (i32.const 2))))
  )
  (invoke "send" (i32.const 42))
  (assert_trap (invoke "misaligned") "unaligned atomic")
)

(thread $T2 (shared (module $Mem))
  (register "mem" $Mem)
  (module
    (memory (import "mem" "shared") 1 1 shared)
    (func (export "receive") (result i32)
      (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1)))
      (i32.atomic.load (i32.const 8)))
  )
  (assert_return (invoke "receive") (i32.const 42))
)

(wait $T1)
(wait $T2)

(register "mem" $Mem)
(module
  (memory (import "mem" "shared") 1 1 shared)
  (func (export "read") (result i32) (i32.load (i32.const 8)))
)
(assert_return (invoke "read") (i32.const 42))
