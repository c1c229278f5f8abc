__attribute__((constructor)) static void crash(void) { *(volatile int *)0 = 1; }
