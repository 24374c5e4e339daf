"""Pictures of compiled pipelines, ours and other libraries': what is drawn, where, as Mermaid and as SVG."""
