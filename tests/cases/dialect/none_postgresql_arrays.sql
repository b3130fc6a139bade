SELECT ARRAY[a, b], c[i], '{`x`}' FORM t WHERE a = ANY (ARRAY [d]);
