// Thread-local objects of a module whose memory is shared.
_Thread_local int counter = 7;
static _Thread_local int steps;

__attribute__((export_name("step"))) int step(int by)
{
    steps++;
    counter += by;
    return counter;
}
