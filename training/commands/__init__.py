"""The `semdepth` subcommands of the offline side, one module each."""
