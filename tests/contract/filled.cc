#include "tests/contract/filled.h"
