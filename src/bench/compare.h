/* compare.h - `penstock compare`: reads one live route over all four transports
 * at once, and prints one table. */
#ifndef PENSTOCK_BENCH_COMPARE_H
#define PENSTOCK_BENCH_COMPARE_H

/* args[0] is the command's name.  Its exit status. */
int compare_main(int count, char **args);

#endif
