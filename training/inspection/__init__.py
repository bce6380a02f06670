"""Is a recording worth training on? What `semdepth bag inspect` measures, judges and draws."""
