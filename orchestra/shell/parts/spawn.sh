# spawn
