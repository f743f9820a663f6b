# The session of scripts/demo.sh: stock gdb on examples/list.wasm.
set confirm off
set pagination off
set width 0
set print thread-events off
set trace-commands on
break list.c:29
run
backtrace
info locals
info args
print *it
print it->next->name
print *it->next->next
x/s it->name
print checked
set var sum = 1000
delete
finish
continue
