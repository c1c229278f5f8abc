/* A library in two versions: -DVERSION=1 or 2. They differ in code, so also in build-id. */
int library_version(void) { return VERSION; }
