"""The desktop application: PySide6 widgets over the runtime. `start` opens it; nothing here answers by itself."""
