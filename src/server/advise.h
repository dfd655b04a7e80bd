/* advise.h - the command `penstock advise`. */
#ifndef PENSTOCK_SERVER_ADVISE_H
#define PENSTOCK_SERVER_ADVISE_H

/* argv[0] is the command's name.  The exit status. */
int advise_main(int argc, char **argv);

#endif
