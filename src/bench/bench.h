/* bench.h - `penstock bench`: opens readers at some server, has it publish, and
 * reports what became of each message. */
#ifndef PENSTOCK_BENCH_BENCH_H
#define PENSTOCK_BENCH_BENCH_H

/* args[0] is the command's name.  Its exit status. */
int bench_main(int count, char **args);

#endif
