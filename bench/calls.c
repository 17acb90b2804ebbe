/* Makes system calls in a loop and prints what each of them took: "NAME NANOSECONDS" a line.

   calls NUMBER */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t); /* in the vDSO: no system call */
	return t.tv_sec * 1e9 + t.tv_nsec;
}

int main(int argc, char **argv)
{
	long number = argc > 1 ? atol(argv[1]) : 1000000;
	char byte;
	int zero = open("/dev/zero", O_RDONLY);
	double begin = now();

	if (zero < 0 || number < 1)
		return 1;
	for (long i = 0; i < number; i++)
		syscall(SYS_getppid);
	printf("getppid %.2f\n", (now() - begin) / number);
	begin = now();
	for (long i = 0; i < number; i++)
		if (syscall(SYS_read, zero, &byte, 1) != 1)
			return 1;
	printf("read %.2f\n", (now() - begin) / number);
	begin = now();
	for (long i = 0; i < number; i++)
		if (syscall(SYS_close, syscall(SYS_openat, AT_FDCWD, "/dev/zero", O_RDONLY)))
			return 1;
	printf("openat+close %.2f\n", (now() - begin) / number);
	return 0;
}
