"""The models that are trained and those they are trained on: students, teachers, cached teacher vectors."""
