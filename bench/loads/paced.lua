-- Each connection pauses between two requests, for as many milliseconds as the argument says.
local pause = 0

function init(args)
    pause = tonumber(args[1])
end

function delay()
    -- A little chance, so that the connections do not all come at once.
    return pause * (0.5 + math.random())
end
