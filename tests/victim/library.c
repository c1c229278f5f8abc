/* A library in versions: -DVERSION=1, 2 or 3. They differ in code, so also in build-id; in relocated
   data, whose pages a process copies when it loads them; and in plain data. */
#define TEXT_OF(v) #v
#define TEXT(v) TEXT_OF(v)
#define WORDS(v) "library " TEXT(v) " one", "library " TEXT(v) " two"
const char *const library_words[] = {WORDS(VERSION), WORDS(VERSION)};
char library_data[4096] = "data of library " TEXT(VERSION);
int library_version(void) { return VERSION; }
